// Makes every column of every table sortable: a button in its head, by mouse or keyboard.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const key = (row) => row.cells[column].dataset.sort ?? "";
      const rows = Array.from(body.rows).sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        // What was not measured comes last, whichever way.
        if (x === "" || y === "") return (x === "") - (y === "");
        const [m, n] = [Number(x), Number(y)];
        const order = Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y) : m - n;
        return down ? -order : order;
      });
      body.append(...rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
// A page of claims or hosts gets a search: what does not hold each word is not shown.
const place = document.getElementById("search");
if (place) {
  const claims = Array.from(document.querySelectorAll(".claim, .searched"));
  const texts = claims.map((claim) => claim.textContent.toLowerCase());
  const label = document.createElement("label");
  const input = document.createElement("input");
  const found = document.createElement("output");
  input.type = "search";
  label.append(`Search ${place.dataset.what} `, input);
  place.append(label, found);
  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let count = 0;
    claims.forEach((claim, i) => {
      claim.hidden = !words.every((word) => texts[i].includes(word));
      count += claim.hidden ? 0 : 1;
    });
    for (const section of document.querySelectorAll(".filtered")) {
      section.hidden = !section.querySelector(".claim:not([hidden])");
    }
    found.textContent = `${count} of ${claims.length}`;
  };
  input.addEventListener("input", search);
  // A word that is often looked for is one click away.
  for (const button of document.querySelectorAll("button[data-find]")) {
    button.addEventListener("click", () => {
      input.value = button.dataset.find;
      search();
      place.scrollIntoView();
    });
  }
  // Paper cannot be clicked: what is folded on the screen is printed.
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll(".claim details")) one.open = true;
  });
}
