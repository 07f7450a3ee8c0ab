"""The frame of the report: markup and style, with a ``$name`` for each part."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Shelf audit, $created</title>
<style>
:root { --paper: #f6f7f9; --card: #fff; --ink: #16181d; --faded: #5d6470; --line: #dfe2e8;
  --accent: #2f6fde; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1c1f25; --ink: #e9ebef;
  --faded: #9aa2b0; --line: #30343d; --accent: #7aa7ff; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 48px; }
header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 19px; margin: 0 0 12px; }
h3 { font-size: 13px; margin: 0 0 8px; color: var(--faded); text-transform: uppercase;
  letter-spacing: .05em; }
header p, .note, small, figcaption { color: var(--faded); }
.note { margin: 0 0 12px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 20px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 18px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; display: flex; flex-direction: column; }
.tile b { font-size: 28px; line-height: 1.15; font-variant-numeric: tabular-nums; }
.tile.bad b, .failures h2 { color: var(--bad); }
small { display: block; font-size: 12px; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; }
thead th { color: var(--faded); font-size: 13px; border-bottom: 1px solid var(--line); }
td, th { padding: 5px 10px 5px 0; vertical-align: middle; overflow-wrap: anywhere; }
.facings tbody tr + tr td { border-top: 1px solid var(--line); }
.n { text-align: right; padding-right: 0; padding-left: 10px; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.crop { width: 74px; text-align: center; border-left: 6px solid; padding-right: 12px;
  font-weight: 700; }
.crop img { max-width: 52px; max-height: 60px; display: block; margin: 0 auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 28px; }
.bars { table-layout: fixed; }
.bars th { width: 40%; font-weight: 400; font-size: 14px; }
.bars td.n { width: 62px; }
.bars td, .bars th { padding-top: 3px; padding-bottom: 3px; }
.bars th { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars i { display: block; height: 14px; border-radius: 3px; background: var(--accent);
  min-width: 2px; max-width: 100%; }
figure { margin: 0 0 22px; }
figure img { width: 100%; height: auto; border-radius: 6px; display: block; }
figcaption { font-size: 13px; margin-top: 6px; }
figcaption b { color: var(--ink); }
a { color: var(--accent); }
.crops { list-style: none; margin: 0; padding: 0; display: grid; gap: 14px 12px;
  grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); }
.crops li { display: flex; flex-direction: column; font-size: 12px; overflow-wrap: anywhere; }
.crops img { height: 96px; width: 100%; object-fit: contain; background: var(--paper);
  border-radius: 6px; margin-bottom: 4px; }
.crops small { font-size: 11px; }
.failures ul { margin: 0; padding-left: 20px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 0;
  font-size: 13px; }
dt { color: var(--faded); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { :root { --paper: #fff; --card: #fff; --ink: #000; --faded: #444; --line: #bbb; }
  body { font-size: 11px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  section { border: 0; padding: 10px 0; }
  tr, figure, .crops li, .tile { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<header><h1>Shelf audit</h1><p>$created · $inputs</p></header>
<div class="tiles">$tiles</div>
$failures
<section><h2>Share of shelf</h2><p class="note">By the width of the boxes, unknown products
 included.</p>$shares</section>
<section><h2>Facings</h2>$table</section>
$sources
$pictures
$unknown
<section><h2>Provenance</h2><dl>$provenance</dl></section>
</main>
<script type="application/json" id="summary">$data</script>
</body>
</html>
"""
