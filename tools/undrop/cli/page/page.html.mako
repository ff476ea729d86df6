<%def name="rows(some)">
<div class="scroll" tabindex="0" role="group" aria-label="some rows">
<table>
<thead><tr><th><span class="unseen">what</span></th>\
% for column in some.columns:
<th>${column}</th>\
% endfor
</tr></thead>
<tbody>
% for row in some.rows:
<tr class="${{MINUS: "gone", "+": "new"}.get(row.sign, "other")}"><td>${row.sign}</td>\
% for cell in row.cells:
<td>${cell}</td>\
% endfor
</tr>
% endfor
</tbody>
</table>
% if some.more:
<p class="more">${some.more}</p>
% endif
</div>
</%def>
<%def name="entry(state)">
<details class="state ${state.kind}">
<summary>
<span class="mark"></span>
<span class="clock">${state.clock}</span>
<span class="what"><b>${state.title}</b>\
% if state.is_now:
 <span class="now">live now</span>\
% endif
% if state.command:
 <code>${state.command}</code>\
% endif
% if state.reason:
 <q>${state.reason}</q>\
% endif
% if state.revision:
 <span class="revision">${state.revision}</span>\
% endif
% for alarm in state.alarms:
 <span class="alarm">${alarm}</span>\
% endfor
</span>
<span class="chips">\
% for chip in state.chips[:3]:
<span class="chip ${chip.kind}">${chip.text}</span> \
% endfor
% if len(state.chips) > 3:
<span class="chip">${len(state.chips) - 3} more</span>\
% endif
</span>
<span class="count">${state.total}</span>
<span class="size">${state.size}</span>
</summary>
<div class="inside" id="s${state.number}">
% for line in state.lines:
<div class="line"><p>${line.what}:</p><p class="typed"><code>${line.text}</code><button type="button" hidden>copy</button></p></div>
% endfor
% if state.since and (state.tables or state.parts):
<h4>What changed since ${state.since}</h4>
% endif
% for table in state.tables:
<section class="${"gone" if table.is_loss else ""}">
<h5>${table.name} <span class="counts">${table.counts}</span>\
% for said in table.said:
 <span class="said">${said}</span>\
% endfor
</h5>
% for some in table.rows:
${rows(some)}
% endfor
</section>
% endfor
% for part in state.parts:
<p class="part">${part}</p>
% endfor
% if state.quiet:
<p class="part">Changed nothing of it: ${", ".join(state.quiet)}</p>
% endif
% if state.name and state.is_now:
<p class="name">${state.name}</p>
% endif
</div>
</details>
</%def>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '${style_digest}'; script-src '${script_digest}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${database}: its history</title>
<style>${style | n}</style>
</head>
<body>
<header>
<h1>${database}</h1>
<p>${len(entries)} states, as <b>undrop</b> knows them on ${now}. \
Lines are typed in the folder of the project, <b>${project}</b>. Times are UTC.\
% if not compared:
 What changed is told by the numbers of rows.\
% endif
% if not values:
 Left out: what is in the rows, reasons, commands.\
% endif
</p>
% if no_live:
<p class="alarm">${no_live}</p>
% endif
% for told in left_out:
<p class="alarm">${told}</p>
% endfor
</header>
<main>
% if curves:
<section class="curves" aria-label="Rows of the largest tables, and the size, over the states">
% for curve in curves:
<div class="curve">
<h2>${curve.name}</h2>
<p class="last">${curve.last}</p>
<svg viewBox="0 0 ${len(drawn) * wide} ${high}" preserveAspectRatio="none" role="img" aria-label="${curve.name}: at most ${curve.most}, now ${curve.last}">
<path class="area" d="${curve.area}"/>
<path class="drawn" d="${curve.line}"/>
% for drop in curve.drops:
<path class="drop" d="${drop}"/>
% endfor
% for at, state in enumerate(drawn):
<a href="#s${state.number}" tabindex="-1"><rect x="${at * wide}" width="${wide}" height="${high}"/><title>${state.day} ${state.clock}, ${state.title}</title></a>
% endfor
</svg>
</div>
% endfor
<p class="more">${len(drawn)} states from the left to the right, since ${drawn[0].day or drawn[1].day}; red: rows that went. A click opens one below.</p>
</section>
% endif
<section class="states" aria-label="The states, newest first">
<% day = None %>
% for state in entries:
% if state.day and state.day != day:
<% day = state.day %>
<h3>${state.day}</h3>
% endif
${entry(state)}
% endfor
</section>
</main>
<footer><p>A click, or the arrow keys and Enter, open a state: what changed, and the line that goes back. What lies between two states that were seen is others' work: the application's, or somebody's hand.</p></footer>
<script>${script | n}</script>
</body>
</html>
