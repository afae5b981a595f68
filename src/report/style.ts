import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Colours and measures, which the dashboard and the demo's gallery have, too. */
const tokens = readFileSync(fileURLToPath(new URL('./design/tokens.css', import.meta.url)), 'utf8').trim();

/** Steps of the colour scale, for a light and a dark page alike: from the paper towards the colour of what is seen. */
const shades = Array.from(
  { length: 11 },
  (_, i) =>
    `.s${i}{background:color-mix(in oklab,var(--seen) ${i * 10}%,var(--cell));color:var(${i > 5 ? '--on-seen' : '--ink'})}`,
).join('\n');

/** The one style sheet of every report: no font, picture or script from elsewhere. */
export const style = `
${tokens}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 var(--sans);font-variant-numeric:tabular-nums}
body>*{max-width:1120px;margin-inline:auto;padding-inline:24px}
h1,h2,h3,h4,p,dl,dd,ul,table{margin:0}
h1{font-size:2.4rem;line-height:1.15;letter-spacing:-.02em;font-weight:650;overflow-wrap:anywhere}
h2{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;font-weight:650}
h3{font-size:.8rem;letter-spacing:.09em;text-transform:uppercase;font-weight:600;color:var(--soft);margin:32px 0 12px;break-after:avoid}
h3 small{text-transform:none;letter-spacing:0}
section>p{margin-top:8px;max-width:72ch}
header{padding-top:56px}
.eyebrow{font-size:.8rem;letter-spacing:.09em;text-transform:uppercase;font-weight:600;color:var(--seen);margin-bottom:8px}
.lead{font-size:1.2rem;line-height:1.5;max-width:64ch;margin-top:16px;overflow-wrap:anywhere}
section{padding-top:64px}
a{color:var(--seen);text-underline-offset:.2em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--seen);outline-offset:2px}
small{font-size:.8125rem;color:var(--soft);font-weight:400}
.soft{color:var(--soft)}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
nav{margin-top:24px;display:flex;flex-wrap:wrap;gap:4px 24px;font-size:.9375rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:1px;background:var(--card);border:1px solid var(--line);border-radius:var(--radius);overflow:hidden;margin-top:32px}
.figures+p{margin-top:12px}
.figures div{box-shadow:0 0 0 1px var(--line);padding:16px 20px}
.figures dt{font-size:.8125rem;color:var(--soft)}
.figures dd{font-size:1.75rem;line-height:1.3;font-weight:600;letter-spacing:-.01em}
.figures .remark{font-size:.8125rem;font-weight:400;letter-spacing:0}
.figures small{display:block;line-height:1.4;font-variant-numeric:tabular-nums}
.notes{margin-top:24px;padding:14px 20px 14px 38px;background:var(--bad-paper);border-radius:var(--radius);font-size:.9375rem}
.notes li::marker{color:var(--bad)}
.alarm{color:var(--bad)}
.switch{display:flex;flex-wrap:wrap;gap:8px;margin:24px 0 8px}
.switch input{position:absolute;opacity:0}
.switch label{border:1px solid var(--line);background:var(--card);border-radius:999px;padding:5px 16px;cursor:pointer;font-size:.9375rem}
.switch input:checked+label{border-color:var(--seen);box-shadow:inset 0 0 0 1px var(--seen)}
.switch input:focus-visible+label{outline:2px solid var(--seen);outline-offset:2px}
#rate-warn:not(:checked)~.heats .at-warn,#rate-block:not(:checked)~.heats .at-block,#rate-flip:not(:checked)~.heats .at-flip{display:none}
.switch>.legend,.switch>.heats{flex-basis:100%}
.legend{display:flex;align-items:center;gap:8px;font-size:.8125rem;color:var(--soft);margin:8px 0}
.scale{display:flex;border-radius:4px;overflow:hidden}
.scale i{width:16px;height:12px}
.heats{columns:2;column-gap:48px}
.heat{width:100%;border-collapse:separate;border-spacing:2px;break-inside:avoid;font-size:.875rem;table-layout:fixed;padding-bottom:20px}
.heat caption{text-align:left;font-size:.8rem;letter-spacing:.09em;text-transform:uppercase;font-weight:600;color:var(--soft);padding-bottom:2px}
.heat th{font-weight:400;text-align:left;padding:0 6px 0 0;overflow:hidden;text-overflow:ellipsis}
.heat thead th{color:var(--soft);font-size:.75rem;text-align:center;padding:0}
.heat th:first-child{width:34%}
.heat td{padding:0;text-align:right}
.heat .from{width:13%;text-align:right;padding:0 0 0 4px;white-space:nowrap}
.heat data{display:block;border-radius:3px;padding:2px 8px 2px 0}
.tag{font-size:.75rem;font-weight:600;color:var(--bad);letter-spacing:.02em}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:20px 16px}
h2+.pictures{margin-top:16px}
figure{margin:0;break-inside:avoid}
figure img{display:block;width:100%;height:auto;border-radius:6px;background:var(--cell)}
figcaption{font-size:.8125rem;line-height:1.4;padding-top:6px;color:var(--soft)}
figcaption b{color:var(--ink);font-weight:600;font-size:.875rem}
figcaption b,figcaption em{display:block;font-style:normal}
figcaption b{overflow-wrap:anywhere}
figcaption b span{color:var(--soft);font-weight:400}
.clean img{box-shadow:0 0 0 2px var(--paper),0 0 0 4px var(--seen)}
.distributions{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:16px}
.distribution{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:12px 14px;break-inside:avoid;display:flex;flex-direction:column}
.moved{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:24px 16px;align-items:start;margin-top:16px}
.seen{padding-top:0}
.seen h3{text-transform:none;letter-spacing:0;font-size:1rem;color:var(--ink);margin:0 0 8px}
.seen h3::first-letter{text-transform:uppercase}
.seen .distributions{grid-template-columns:1fr}
.seen[open],.seen:has(details[open]){grid-column:1/-1}
.distribution h4{font-size:.8125rem;line-height:1.45;font-weight:600;overflow-wrap:anywhere}
.distribution h4 small{display:block;font-size:.75rem;min-height:1.35em}
.distribution svg{display:block;width:100%;height:56px;margin:8px 0 4px;border-bottom:1px solid var(--line);overflow:visible}
.distribution path{fill:var(--seen);fill-opacity:.4}
.distribution line{stroke:var(--soft);stroke-width:1;vector-effect:non-scaling-stroke}
.distribution .tail{stroke-dasharray:2 3}
.distribution .median{stroke:var(--seen);stroke-width:2}
.distribution dl{display:grid;grid-template-columns:repeat(3,1fr);font-size:.8125rem}
.distribution dl div:nth-child(2){text-align:center}
.distribution dl div:nth-child(3){text-align:right}
.distribution dt{color:var(--soft);font-size:.75rem;line-height:1.3}
.distribution p{font-size:.8125rem;line-height:1.4;color:var(--soft);margin-top:6px}
.columns{columns:2 360px;column-gap:48px}
.columns>*{break-inside:avoid}
.counts{width:100%;border-collapse:collapse;font-size:.875rem;margin-bottom:24px}
.counts caption{text-align:left;font-weight:600;padding-bottom:4px}
.counts th{font-weight:400;text-align:left;padding:3px 12px 3px 0;overflow-wrap:break-word;vertical-align:top}
.counts td{text-align:right;padding:3px 0;white-space:nowrap;vertical-align:top}
.counts tr{border-top:1px solid var(--line)}
.counts .bar{width:30%;padding-left:12px;vertical-align:middle}
.bar i{display:block;height:6px;border-radius:3px;background:var(--seen);min-width:2px}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:6px 24px;font-size:.9375rem;margin-top:16px}
.facts dt{color:var(--soft)}
.facts dd{overflow-wrap:anywhere}
code{font:.875em var(--mono);overflow-wrap:anywhere}
footer{padding-block:64px 48px;font-size:.8125rem;color:var(--soft)}
${shades}
.heat data,.scale i,.bar i,.distribution path,.figures{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.timeline{display:block;width:100%;height:140px;margin-top:16px;border:solid var(--line);border-width:1px 0}
.timeline .warn{fill:var(--bad);fill-opacity:.35}
.timeline .block{fill:var(--bad)}
.timeline line{stroke:var(--soft);stroke-dasharray:3 4;vector-effect:non-scaling-stroke}
.timeline .mean{fill:none;stroke:var(--ink);stroke-width:1.5;vector-effect:non-scaling-stroke}
.timeline+.legend{max-width:none}
.legend .right{margin-left:auto}
.folders{margin-top:24px}
.folders td{padding-left:16px}
.counts thead th{color:var(--soft);font-size:.8125rem;white-space:nowrap}
.counts thead th:not(:first-child):not(.text){text-align:right}
.counts .text{text-align:left;white-space:normal;padding-left:16px}
.counts td.stacked{white-space:nowrap;font-size:0;text-align:left}
.stacked i{display:inline-block;border-radius:0;min-width:0}
.stacked .block{background:var(--bad)}
.stacked .warn{background:color-mix(in oklab,var(--bad) 40%,var(--cell))}
.distribution .of-reference{fill:var(--soft);fill-opacity:.3}
.worst{grid-template-columns:repeat(auto-fill,minmax(240px,1fr))}
.worst figure{min-width:0;overflow-wrap:anywhere}
.worst ol{margin:4px 0 0;padding-left:1.3em}
.worst em{overflow-wrap:anywhere}
.blank{display:grid;place-items:center;aspect-ratio:16/9;border-radius:6px;background:var(--cell);color:var(--soft);font-size:.8125rem}
.verdict{font-size:.75rem;font-weight:650;text-transform:uppercase;letter-spacing:.03em}
.verdict.block{color:var(--bad)!important}
.timeline,.stacked i{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details{margin-top:12px}
summary{cursor:pointer;color:var(--seen);padding:6px 0}
summary h3{display:inline;margin:0}
.whole{margin-top:64px}
.whole section{padding-top:16px}
@media (max-width:820px){.heats{columns:1}}
@media (max-width:560px){body>*{padding-inline:16px}h1{font-size:1.9rem}.lead{font-size:1.0625rem}header{padding-top:32px}section{padding-top:48px}.pictures{grid-template-columns:repeat(2,1fr);gap:16px 10px}.figures{grid-template-columns:1fr 1fr}.figures div{padding:12px 14px}.figures dd{font-size:1.4rem}.figures div:last-child:nth-child(odd){grid-column:1/-1}.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:8px}.distributions{grid-template-columns:1fr}.heat th:first-child{width:36%}.heat{font-size:.8125rem}.heat data{padding-right:4px}.counts .bar{width:18%}.drift thead{display:none}.drift tr{display:block;padding:6px 0}.drift th,.drift td{display:inline;padding:0 8px 0 0}.drift td.text:last-child{display:block}}
@media print{@page{margin:16mm 14mm}body{font-size:10pt}body>*{padding-inline:0}.figures{grid-template-columns:repeat(auto-fit,minmax(34mm,1fr))}.figures div{padding:8px 10px}.figures dd{font-size:1.3rem}.figures .remark{font-size:.7rem}.heats{columns:2;column-gap:24px}.heat{font-size:8pt;padding-bottom:12px}.heat data{padding-right:4px}.distribution{padding:8px 10px}nav{display:none}section{padding-top:28px}header{padding-top:0}.distributions{grid-template-columns:repeat(3,1fr);gap:8px}.distribution p{font-size:.7rem}.pictures{grid-template-columns:repeat(5,1fr);gap:10px 8px}.worst{grid-template-columns:repeat(3,1fr)}.columns{columns:2;column-gap:24px}figcaption,figcaption b{font-size:.7rem}h2,h2+p,h4{break-after:avoid}.moved>*,tr,.figures{break-inside:avoid}}
`;
