"""The same measurement on many hosts, by Dask distributed.

A host has one worker, named after it, with a resource of its own (``host-NAME``), of which there is
one: so a task comes to that host and no other, whatever its worker's address is by now, and two
tasks of a host never run at once. The worker measures nothing itself: a ``bench`` of its own does,
as it would by hand (``host``). What is asked and what is measured travel as bytes of ours
(``store.fleets``, ``parcel``), checked on arrival like any file from outside.

``controller`` asks and collects, ``worker`` is a host's side of Dask, ``reach`` says who may listen
where. Whatever is lost on the way (a worker, a connection, the scheduler, the controller) is asked
for again: a host that has measured already sends what it has. Offers ``controller.collect``,
``worker.serve``, ``scheduler.serve``.
"""
