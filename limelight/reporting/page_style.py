"""Style and behaviour of the leaderboard page."""

STYLE = """
:root{color-scheme:light dark;--bg:#fbfaf8;--ink:#1d1d1f;--soft:#6b6b70;--line:#e3e0da;--card:#fff;--accent:#b45309;
--tint:#fff4e0}
@media (prefers-color-scheme:dark){:root{--bg:#161618;--ink:#ececee;--soft:#9b9ba2;--line:#303036;--card:#1e1e22;
--accent:#fbbf24;--tint:#2e2614}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1400px;padding:2rem 1.25rem 4rem;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;margin:0 0 1rem;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}h3{font-size:.85rem;color:var(--soft);margin:1rem 0 .3rem;font-weight:500}
p{margin:.2rem 0}code{background:var(--tint);padding:.1em .35em;border-radius:4px;font-size:.92em}
.champion{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--accent);border-radius:8px;
padding:.9rem 1.2rem;margin-bottom:.8rem}
.champion .kicker{color:var(--accent);font-size:.75rem;text-transform:uppercase;letter-spacing:.1em;font-weight:600}
.champion .name{font-size:1.4rem;font-weight:650}.champion .name span{color:var(--soft);font-weight:400}
.champion .value{font-variant-numeric:tabular-nums;font-weight:600}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.42rem .6rem;white-space:nowrap;border-bottom:1px solid var(--line);text-align:right}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:600;cursor:pointer;user-select:none}
th:hover,th:focus{color:var(--accent);outline:0}
th[aria-sort=ascending]::after{content:" ▴"}th[aria-sort=descending]::after{content:" ▾"}
.text{text-align:left}
th:first-child,td:first-child{position:sticky;left:0;background:var(--card);font-weight:600}
.champion-row td{background:var(--tint)}
td.best{font-weight:750;color:var(--accent)}td.second{text-decoration:underline;text-underline-offset:.2em}
.notes{color:var(--soft);font-size:.85rem;margin-top:.7rem;max-width:80ch}
.wide{max-width:100%;width:860px;border-radius:8px;display:block;margin-bottom:.8rem}
.strip{display:flex;flex-wrap:wrap;gap:.6rem}
figure{margin:0;flex:none}figure img{height:112px;display:block;border-radius:6px;border:1px solid var(--line)}
figcaption{font-size:.78rem;line-height:1.35;margin-top:.25rem}small{color:var(--soft)}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const sort = (column) => {
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => {
      if (key(a) === undefined || key(b) === undefined) return (key(a) === undefined) - (key(b) === undefined);
      const order = isNaN(key(a)) ? key(a).localeCompare(key(b)) : key(a) - key(b);
      return down ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
  };
  heads.forEach((head, column) => {
    head.onclick = () => sort(column);
    head.onkeydown = (event) => event.key === "Enter" && sort(column);
  });
}
"""
