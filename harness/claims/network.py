"""Claims about network, as far as it needs no bridge."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

PORT = "8080"
FALLBACK = {"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip6gre0", "ip_vti0",
            "ip6_vti0"}  # fmt: skip
"""What the kernel itself may put into every new namespace, down and without an address, where its
modules are loaded (Documentation/admin-guide/sysctl/net.rst, fb_tunnels_only_for_init_net)."""


def _listening(lab: Laboratory, port: str = PORT, **options: Any) -> Box:
    """A container in which one client of 127.0.0.1:PORT is answered 'hello'."""
    box = lab.create("listen", port, "hello", **options).start()
    box.await_line("listening")
    return box


def _answers(lab: Laboratory, port: str, **options: Any) -> bool:
    """Whether 127.0.0.1:PORT answers a container that asks it."""
    return lab.run("ask", port, **options).output.strip() == "hello"


def _free_port() -> int:
    """A TCP port on which nobody listens on this host's 127.0.0.1."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _only_lo(lab: Laboratory) -> Finding:
    said = lab.run("read", "/proc/net/dev").output.splitlines()[2:]
    names = [line.partition(":")[0].strip() for line in said]
    others = [name for name in names if name != "lo" and name not in FALLBACK]
    return decided(
        "lo" in names and not others,
        f"with --network none the kernel lists {', '.join(names)}",
        others=len(others),
    )


def _share_localhost(lab: Laboratory) -> Finding:
    first = _listening(lab)
    answered = _answers(lab, PORT, network_mode=f"container:{first.id}")
    return decided(
        answered,
        f"in the same network namespace 127.0.0.1:{PORT} of the other container "
        f"{'answers' if answered else 'does not answer'}",
        answered=answered,
    )


def _one_localhost(lab: Laboratory) -> Finding:
    _listening(lab)
    answered = _answers(lab, PORT)
    return decided(
        answered,
        f"127.0.0.1:{PORT}, on which one container listens, "
        f"{'answers' if answered else 'is refused'} in another one",
        answered=answered,
    )


@contextlib.contextmanager
def _host_listens(lab: Laboratory) -> Iterator[int]:
    """Somebody on this host's 127.0.0.1 who answers 'hello'; the port.

    Not exercisable where a container in the engine's own network does not reach it: on another
    host, or where we are in a container ourselves.
    """
    server = socket.create_server(("127.0.0.1", 0))
    port = int(server.getsockname()[1])

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as client:
                    client.sendall(b"hello")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        if not _answers(lab, str(port), network_mode="host"):
            raise NotExercisableError("the engine's localhost is not ours: ask it on its own host")
        yield port
    finally:
        server.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        thread.join()
        server.close()


def _localhost_is_the_host(lab: Laboratory) -> Finding:
    with _host_listens(lab) as port:
        answered = _answers(lab, str(port))
    return decided(
        answered,
        f"a port on which the host's 127.0.0.1 answers "
        f"{'answers' if answered else 'is refused'} at the container's 127.0.0.1",
        answered=answered,
    )


def _ports_collide(lab: Laboratory) -> Finding:
    port = str(_free_port())
    boxes = [lab.create("listen", port, "hello").start() for _ in range(2)]
    listening = 0
    for box in boxes:
        with contextlib.suppress(TimeoutError):
            box.await_line("listening")
            listening += 1
    return decided(
        listening < 2,
        f"of 2 containers, each with a network namespace of its own, {listening} listen on "
        f"port {port}",
        listening=listening,
    )


def _published_without_a_bridge(lab: Laboratory) -> Finding:
    with _host_listens(lab) as port:
        pass  # free again, and known to be a port of the engine's host
    try:
        box = _listening(lab, str(port), port_bindings={f"{port}/tcp": ("127.0.0.1", port)})
    except EngineRefusedError as refused:
        return decided(False, f"the engine refuses it: {refused.message}", connected=False)
    told = box.inspect()["NetworkSettings"].get("Ports") or {}
    published = sum(bool(one) for one in told.values())
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            connected = True
    except OSError:
        connected = False
    return decided(
        connected,
        f"with --network none and -p the engine lists {published} published ports, and a "
        f"connection to the host's port is {'taken' if connected else 'refused'}",
        connected=connected, published=published,
    )  # fmt: skip


def _own_host_name(lab: Laboratory) -> Finding:
    first = lab.create("sleep", "60").start()
    named = first.inspect()["Config"]["Hostname"]
    said = lab.run("see", network_mode=f"container:{first.id}").output
    seen = said.partition("host ")[2].partition("\n")[0]
    return decided(
        seen != named,
        f"the host name in the second container is {seen}, in the first one {named}",
        own=seen != named,
    )


def _names_on_the_default_bridge(lab: Laboratory) -> Finding:
    with lab.asking("list its networks") as api:
        names = {one["Name"] for one in api.networks()}
    if "bridge" not in names:
        raise NotExercisableError(
            "the engine has no network 'bridge': it was started without one, as a private engine is"
        )
    first = lab.create("sleep", "60", network_mode="bridge").start()
    second = lab.create("sleep", "60", network_mode="bridge").start()
    hosts = second.execute("read", "/etc/hosts").output.split()
    resolver = "127.0.0.11" in second.execute("read", "/etc/resolv.conf").output
    return decided(
        resolver or first.name in hosts,
        f"/etc/hosts {'names' if first.name in hosts else 'does not name'} the other container, "
        f"and the engine's resolver 127.0.0.11 is {'asked' if resolver else 'not asked'}",
        in_hosts=first.name in hosts, resolver=resolver,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="none-has-only-lo",
        topic=Topic.NETWORK,
        sentence="A container with --network none has no interface but lo.",
        korean="--network none 컨테이너에는 lo 외의 네트워크 인터페이스가 없다.",
        refuted_by="The kernel lists another interface in its network namespace.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "a new network namespace has a loopback device only",
                "man 7 network_namespaces; measured",
            ),
        ),
        by_hand=("docker run --rm --network none IMAGE cat /proc/net/dev",),
        story="The container has a network namespace of its own, into which nobody moves an "
        "interface. Its programs can talk to each other by 127.0.0.1, and to nobody else by "
        "network; a pipe, a volume, docker exec and docker cp still work.",
        experiment=_only_lo,
    ),
    Claim(
        id="container-network-shares-localhost",
        topic=Topic.NETWORK,
        sentence="Containers joined by --network container:NAME reach each other by localhost.",
        korean="--network container:이름으로 묶인 컨테이너들은 localhost로 서로 통신할 수 있다.",
        refuted_by="What listens on 127.0.0.1 in one of them does not answer in the other.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "they are in the same network namespace, with one loopback device",
                "man 7 network_namespaces; moby daemon/oci_linux.go, WithNamespaces; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --network none IMAGE sh -c 'echo hello | nc -l -p 8080'",
            "docker run --rm --network container:one IMAGE nc 127.0.0.1 8080",
        ),
        story="The second container gets no network of its own: interfaces, addresses, ports and "
        "firewall are the first one's. The containers of a pod in Kubernetes are joined so.",
        experiment=_share_localhost,
    ),
    Claim(
        id="containers-have-one-localhost",
        topic=Topic.NETWORK,
        sentence="What listens on localhost in one container is reached by localhost in all.",
        korean="한 컨테이너의 localhost 포트에는 다른 컨테이너도 localhost로 접속할 수 있다.",
        refuted_by="The connection is refused in another container.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "each network namespace has a loopback device of its own",
                "man 7 network_namespaces; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --network none IMAGE sh -c 'echo hello | nc -l -p 8080'",
            "docker run --rm --network none IMAGE nc 127.0.0.1 8080",
        ),
        story="localhost is who asks. A web server that looks for its database at localhost finds "
        "it when both are processes of one host, and no more when each has its container.",
        experiment=_one_localhost,
    ),
    Claim(
        id="localhost-is-the-host",
        topic=Topic.NETWORK,
        sentence="localhost in a container is the host.",
        korean="컨테이너 안의 localhost는 호스트를 가리킨다.",
        refuted_by="A port on which the host's 127.0.0.1 answers is refused in the container.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only with --network host; else the namespace has its own loopback device",
                "man 7 network_namespaces; docs.docker.com/engine/network/drivers/host; measured",
            ),
        ),
        by_hand=(
            "python3 -m http.server --bind 127.0.0.1 8000 &",
            "docker run --rm IMAGE wget -O - http://127.0.0.1:8000/",
            "docker run --rm --network host IMAGE wget -O - http://127.0.0.1:8000/; kill %1",
        ),
        story="With --network host the container has no network namespace, so there localhost is "
        "the host's. From a bridge the host is reached by the bridge's address, which "
        "--add-host host.docker.internal:host-gateway gives a name.",
        experiment=_localhost_is_the_host,
    ),
    Claim(
        id="container-ports-collide",
        topic=Topic.NETWORK,
        sentence="Two containers cannot listen on the same port.",
        korean="두 컨테이너는 같은 포트에서 동시에 리슨할 수 없다.",
        refuted_by="Both listen on it at once.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a port belongs to a network namespace; only the host's, of -p, is there once",
                "man 7 network_namespaces; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --network none IMAGE nc -l -p 8080",
            "docker run -d --name two --network none IMAGE nc -l -p 8080; docker ps",
        ),
        story="Ten web servers may all listen on port 80, each in its namespace. What collides is "
        "the port of the host to which -p publishes, and ports with --network host or "
        "container:NAME, where the namespace is a common one.",
        experiment=_ports_collide,
    ),
    Claim(
        id="publish-works-on-any-network",
        topic=Topic.NETWORK,
        sentence="-p opens a port of the host whatever the container's network is.",
        korean="-p는 컨테이너의 네트워크 종류와 상관없이 호스트 포트를 연다.",
        refuted_by="With --network none the port that -p names cannot be connected to.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a port is published by the driver of a bridge; none has nothing to lead to",
                "moby libnetwork/drivers/bridge/port_mapping.go; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box --network none -p 8080:8080 IMAGE nc -l -p 8080",
            "docker port box; curl http://127.0.0.1:8080/",
        ),
        story="Publishing is a rule of the host's firewall, or a proxy, that leads to the "
        "container's address on a bridge. With none there is no address: the engine takes the "
        "option and drops it without a word. With host it is dropped too, where every port "
        "is the host's anyway.",
        experiment=_published_without_a_bridge,
    ),
    Claim(
        id="container-network-has-own-host-name",
        topic=Topic.NETWORK,
        sentence="A container with --network container:NAME has a host name of its own.",
        korean="--network container:이름 컨테이너는 자신만의 호스트 이름을 가진다.",
        refuted_by="Its host name is the first container's.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "Podman joins the network alone",
                "measured with 4.3",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "with the network it gets the first one's host name and /etc/hosts",
                "moby daemon/container_operations_unix.go, initializeNetworking; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --hostname first --network none IMAGE sleep 60",
            "docker run --rm --network container:one IMAGE hostname",
        ),
        story="A host name belongs to the network's files (/etc/hosts), so the engine takes both "
        "from the container that is joined, and refuses --hostname beside it.",
        experiment=_own_host_name,
    ),
    Claim(
        id="default-bridge-knows-names",
        topic=Topic.NETWORK,
        sentence="Containers on the default network reach each other by their names.",
        korean="기본 브리지 네트워크의 컨테이너들은 이름으로 서로 접속할 수 있다.",
        refuted_by="Neither /etc/hosts names the other container nor does resolv.conf name the "
        "engine's resolver.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the engine's resolver serves networks that one has made; the default one is "
                "without it",
                "docs.docker.com/engine/network/drivers/bridge; measured, with Podman 4.3 too",
            ),
        ),
        by_hand=(
            "docker run -d --name one IMAGE sleep 60; docker run --rm IMAGE ping -c 1 one",
            "docker network create own; docker network connect own one",
            "docker run --rm --network own IMAGE ping -c 1 one",
        ),
        story="On the bridge that is there from the beginning, containers have addresses and no "
        "names (the old --link wrote them to /etc/hosts). On a network from docker network "
        "create the engine answers at 127.0.0.11 with the addresses of names.",
        experiment=_names_on_the_default_bridge,
    ),
)
