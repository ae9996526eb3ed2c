//! The page of a run: one HTML file that needs nothing else, no network and no server.
//!
//! Owns: what is on it, and what of a long run is left out. Its words stand in it as HTML; the time line and the
//! charts are drawn by `page/page.js` from data in it. All that came from outside is escaped, and the page
//! allows no script but its own. Does not own: what happened (`history`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use golem_wire::Glm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Report;
use super::excerpt::Failure;
use super::history::{Counter, Ending, History, Kind, Latency, Sort, Span, for_each_line};
use super::markup::escape;
use super::metrics::MetricSummary;
use crate::backend::Backend;
use crate::language::values;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// How a page begins; by it a file is known to be one.
pub(crate) const BEGIN: &str = "<!doctype html>\n<!-- the page of a rehearsal -->\n";
/// Lines of the journal that are on a page.
const LINES: usize = 16_000;
/// Characters of a line that are on a page.
const WIDE: usize = 500;
/// Batches on a page; of more, those that went well are put together.
const BATCHES: usize = 30_000;
/// Marks on a page; the serious ones first.
const MARKS: usize = 5_000;
/// Points of a curve.
const POINTS: usize = 1_500;

/// Writes the page.
///
/// # Errors
/// When the writer fails, or the journal cannot be read.
pub(crate) fn write(
    mut out: impl Write,
    history: &History,
    report: &Report,
    failures: &[Failure],
    journal: &Path,
) -> io::Result<()> {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    let word = if report.ok { "passed" } else { "FAILED" };
    let name = escape(&report.scenario);
    write!(
        out,
        "{BEGIN}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{word}: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    head(&mut out, report, word)?;
    listed(&mut out, report, failures)?;
    out.write_all(TIMELINE.as_bytes())?;
    let dropped = history
        .spans
        .iter()
        .filter(|span| span.kind == Kind::Batch)
        .count();
    if dropped > BATCHES {
        writeln!(
            out,
            "<p class=\"soft\">{dropped} batches: those that went well are shown several at a time.</p>"
        )?;
    }
    out.write_all(TABLE.as_bytes())?;
    out.write_all(CHARTS.as_bytes())?;
    expectations(&mut out, report)?;
    facts(&mut out, report)?;
    writeln!(
        out,
        "<p class=\"soft\">journal of {} lines, sha256 <code>{}</code></p>\n</main>",
        history.lines,
        escape(&report.journal_sha256)
    )?;
    let data = data(history, journal)?.to_string();
    // No text can end the element: `<` is an escape in a string of JSON.
    let data = data.replace('<', "\\u003c");
    writeln!(
        out,
        "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>"
    )
}

/// The time line's frame.
const TIMELINE: &str = "\
<h2 id=\"timeline-title\">What happened</h2>
<noscript><p class=\"why\">The time line and the charts need JavaScript.</p></noscript>
<div class=\"bar\">
<label>filter <input id=\"filter\" type=\"search\" placeholder=\"provider or instance\" autocomplete=\"off\"></label>
<label>rows <select id=\"rows\"><option value=\"all\">all</option><option value=\"providers\">providers</option>\
<option value=\"work\">instances, tasks, payments</option></select></label>
<label>only <select id=\"only\"><option value=\"everything\">everything</option><option value=\"trouble\">trouble</option>\
<option value=\"rented\">rented providers</option></select></label>
<button id=\"closer\" type=\"button\" aria-label=\"zoom in\">+</button>
<button id=\"farther\" type=\"button\" aria-label=\"zoom out\">−</button>
<button id=\"fit\" type=\"button\">whole run</button>
<span id=\"told\" aria-live=\"polite\"></span>
</div>
<div class=\"legend\" id=\"legend\"></div>
<div class=\"frame\" id=\"frame\"><div class=\"scroll\" id=\"scroll\"><canvas id=\"canvas\" tabindex=\"0\" role=\"application\" \
aria-labelledby=\"timeline-title\" aria-describedby=\"keys\"></canvas><div id=\"pad\"></div></div></div>
<p class=\"soft\" id=\"keys\">Keys: ↑ ↓ row, ← → item, + − zoom, Shift with ← → moves, Enter zooms to the item, 0 shows \
the whole run. Mouse: drag, Ctrl with the wheel, double click.</p>
<div id=\"details\" aria-live=\"polite\"><p class=\"soft\">Point at something, or choose it, to see its lines of the journal.</p></div>
<div id=\"tip\" hidden></div>
";

/// Who was rented, in figures; made by the script, which also keeps the time line in its order.
const TABLE: &str = "\
<section id=\"providers\" hidden>
<h2 id=\"providers-title\">Providers in figures</h2>
<p class=\"soft\">A heading sorts by its column, the other way round when it is chosen again; the time line keeps that order.</p>
<div class=\"wide tall\"><table id=\"table\" aria-labelledby=\"providers-title\"></table></div>
</section>
";

const CHARTS: &str = "<h2>Curves</h2>\n<div class=\"charts\" id=\"charts\"></div>\n";

fn head(out: &mut impl Write, report: &Report, word: &str) -> io::Result<()> {
    let bad = if report.ok { "" } else { " bad" };
    let time = match report.backend {
        Backend::Memory => format!(
            "{} of virtual time in {:.2} s",
            values::Span(Duration::try_from_secs_f64(report.virtual_seconds).unwrap_or_default()),
            report.wall_seconds
        ),
        Backend::Http | Backend::Yagna => format!("{:.1} s in real time", report.wall_seconds),
    };
    writeln!(
        out,
        "<header class=\"verdict{bad}\"><h1><span class=\"word\">{word}</span> {}</h1>\
         <span class=\"soft\">{} · seed {} · {time}</span></header>",
        escape(&report.scenario),
        report.backend.name(),
        report.seed
    )?;
    writeln!(out, "<dl class=\"tiles\">")?;
    let tiles = [
        ("agreements", report.agreements.to_string()),
        ("activities", report.activities.to_string()),
        ("tasks done", report.tasks.to_string()),
        ("invoices paid", report.invoices_paid.to_string()),
        ("cost", format!("{} GLM", report.cost)),
        (
            "left open",
            (report.open.len() + report.open_as_expected.len()).to_string(),
        ),
    ];
    for (name, value) in tiles {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value))?;
    }
    writeln!(
        out,
        "</dl>\n<div class=\"again\"><pre id=\"command\">{}</pre><button id=\"copy\" type=\"button\">copy</button></div>",
        escape(&report.command)
    )
}

/// What does not hold comes before everything else.
fn listed(out: &mut impl Write, report: &Report, failures: &[Failure]) -> io::Result<()> {
    if failures.is_empty() && report.failed_instances.is_empty() {
        return Ok(());
    }
    if !failures.is_empty() {
        writeln!(out, "<h2>What does not hold</h2>\n<ul class=\"list\">")?;
        for failure in failures {
            write!(
                out,
                "<li class=\"bad\"><span class=\"mark\">✗</span><div class=\"text\">{} — <span class=\"why\">{}</span>",
                escape(&failure.claim),
                escape(&failure.found)
            )?;
            if !failure.lines.is_empty() {
                let lines = failure.lines.iter();
                let lines: Vec<_> = lines
                    .map(|(number, text)| format!("{number:>7}  {text}"))
                    .collect();
                write!(
                    out,
                    "<pre>{}</pre><button type=\"button\" data-line=\"{}\">show in the time line</button>",
                    escape(&lines.join("\n")),
                    failure.line
                )?;
            }
            writeln!(out, "</div></li>")?;
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

fn expectations(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "<h2>Expectations</h2>\n<ul class=\"list\">")?;
    for verdict in &report.expectations {
        let (class, mark) = if verdict.ok {
            ("", '✓')
        } else {
            ("bad", '✗')
        };
        item(out, class, mark, &verdict.expectation, &verdict.found)?;
    }
    writeln!(
        out,
        "</ul>\n<h2>Laws, and what was left open</h2>\n<ul class=\"list\">"
    )?;
    match (report.violations.as_slice(), report.backend) {
        ([], Backend::Yagna) => {}
        ([], _) => item(out, "", '✓', "the books of the network are right", "")?,
        (violations, _) => {
            for law in violations {
                item(out, "bad", '✗', "wrong in the books of the network", law)?;
            }
        }
    }
    for open in &report.open_as_expected {
        item(out, "", '✓', "left open, as expected", open)?;
    }
    for open in &report.open {
        item(out, "bad", '✗', "left open", open)?;
    }
    if report.open.is_empty() {
        item(out, "", '✓', "nothing else is left open", "")?;
    }
    for aside in &report.laws_set_aside {
        let claim = format!("law {} set aside, because {}", aside.law, aside.because);
        item(out, "", '–', &claim, &aside.found())?;
    }
    writeln!(out, "</ul>")
}

fn item(out: &mut impl Write, class: &str, mark: char, claim: &str, found: &str) -> io::Result<()> {
    let found = match found {
        "" => String::new(),
        found => format!(" — <span class=\"soft\">{}</span>", escape(found)),
    };
    writeln!(
        out,
        "<li class=\"{class}\"><span class=\"mark\">{mark}</span><span class=\"text\">{}{found}</span></li>",
        escape(claim)
    )
}

/// What went wrong on the way, and what was done on purpose.
fn facts(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let failed = report.failed_instances.iter().map(|failed| {
        let on = failed
            .provider
            .as_ref()
            .map(|on| format!(" on {on}"))
            .unwrap_or_default();
        (format!("{}{on}", failed.instance), failed.reason.clone())
    });
    let causes = report.causes.iter();
    let causes = causes.map(|cause| {
        (
            cause.provider.clone(),
            format!("{} × {}", cause.times, cause.reason),
        )
    });
    let unpaid = report.unpaid_invoices.iter();
    let unpaid = unpaid.map(|bill| {
        let amount = bill.amount.normalized();
        (
            bill.provider_name.clone(),
            format!("{amount} GLM: {}", bill.reason),
        )
    });
    let unmatched = report.unmatched.iter();
    let unmatched = unmatched.map(|group| {
        let number = group.providers.len();
        (format!("{number} × {}", group.who()), group.why.clone())
    });
    let steps = report
        .steps
        .iter()
        .map(|step| (step.clone(), String::new()));
    let faults = report.faults.iter();
    let faults = faults.map(|fault| (fault.name.clone(), format!("{} requests hit", fault.hits)));
    let measured = |it: &MetricSummary| {
        format!(
            "{} values, least {}, median {}, p95 {}, most {}",
            it.count, it.min, it.p50, it.p95, it.max
        )
    };
    let workloads = report.workloads.iter().flat_map(|workload| {
        let name = &workload.workload;
        let failed = workload
            .error
            .iter()
            .map(|error| (name.clone(), error.clone()));
        let metrics = workload.metrics.iter();
        let metrics = metrics.map(|(metric, it)| (format!("{name}: {metric}"), measured(it)));
        failed.chain(metrics).collect::<Vec<_>>()
    });
    let metrics = report
        .metrics
        .iter()
        .map(|(name, it)| (name.clone(), measured(it)));
    let away =
        (report.daemon_away.times > 0).then(|| (report.daemon_away.to_string(), String::new()));
    let requestors = report.requestors.iter().map(|it| {
        let mark = if it.ok { '✓' } else { '✗' };
        let mut found = format!(
            "{} agreements, {} activities, {} tasks done, {} invoices paid, cost {} GLM",
            it.agreements, it.activities, it.tasks, it.invoices_paid, it.cost
        );
        for open in &it.open {
            found.push_str("; left open: ");
            found.push_str(open);
        }
        (format!("{mark} {}", it.requestor), found)
    });
    let all: [(&str, Vec<(String, String)>); 10] = [
        ("Requestors", requestors.collect()),
        ("Instances that failed", failed.collect()),
        ("Workloads", workloads.collect()),
        ("How long it took, in seconds", metrics.collect()),
        ("What went wrong, by provider", causes.collect()),
        ("Invoices that are not paid", unpaid.collect()),
        ("Offers that do not match", unmatched.collect()),
        ("Steps of the timeline", steps.collect()),
        ("Faults", faults.collect()),
        ("Absences of the daemon", away.into_iter().collect()),
    ];
    for (title, rows) in all.iter().filter(|(_, rows)| !rows.is_empty()) {
        writeln!(out, "<h2>{title}</h2>\n<div class=\"wide\"><table>")?;
        for (name, found) in rows {
            writeln!(
                out,
                "<tr><td>{}</td><td>{}</td></tr>",
                escape(name),
                escape(found)
            )?;
        }
        writeln!(out, "</table></div>")?;
    }
    Ok(())
}

/// What the script draws.
fn data(history: &History, journal: &Path) -> io::Result<Value> {
    let (spans, places) = condensed(&history.spans);
    let mut marks: Vec<_> = history.marks.iter().collect();
    marks.sort_by_key(|mark| matches!(mark.sort, Sort::Fault | Sort::Note));
    marks.truncate(MARKS);
    marks.sort_by_key(|mark| mark.at);
    let mut wanted: BTreeMap<u64, Option<String>> = BTreeMap::new();
    let serious = marks
        .iter()
        .filter(|mark| matches!(mark.sort, Sort::Law | Sort::Trouble));
    let around = serious.flat_map(|mark| mark.line.saturating_sub(5).max(1)..=mark.line);
    let bad = spans.iter().filter(|span| span.ending != Ending::Well);
    let kinds = [
        Kind::Agreement,
        Kind::Activity,
        Kind::State,
        Kind::Task,
        Kind::Job,
        Kind::Invoice,
        Kind::Payment,
        Kind::Negotiation,
        Kind::Batch,
    ];
    let rest = kinds
        .iter()
        .flat_map(|kind| spans.iter().filter(move |span| span.kind == *kind));
    let lines = around
        .chain(bad.flat_map(|span| span.lines.iter().copied()))
        .chain(marks.iter().map(|mark| mark.line))
        .chain(rest.flat_map(|span| span.lines.iter().copied()));
    for line in lines {
        if wanted.len() >= LINES {
            break;
        }
        wanted.insert(line, None);
    }
    for_each_line(BufReader::new(File::open(journal)?), |number, text| {
        if let Some(wanted) = wanted.get_mut(&number) {
            *wanted = Some(match text.char_indices().nth(WIDE) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
                None => text.to_owned(),
            });
        }
    })?;
    let texts = wanted
        .into_iter()
        .filter_map(|(number, text)| Some((number.to_string(), text?.into())));
    let spans = spans.iter().map(|span| {
        json!([
            span.kind as u8,
            span.party,
            span.from,
            span.to - span.from,
            span.ending as u8,
            span.title,
            span.part_of.and_then(|above| places.get(above).copied()),
            span.why,
            span.amount.map(|amount| amount.normalized().to_string()),
            span.lines,
            span.mentioned,
            span.id,
        ])
    });
    let marks = marks
        .iter()
        .map(|mark| json!([mark.at, mark.party, mark.sort.name(), mark.text, mark.line]));
    let parties = history
        .parties
        .iter()
        .map(|party| json!([party.role.name(), party.name, party.node]));
    let glm = |counter: &Counter<Glm>| {
        curve(counter, |amount| {
            amount.to_string().parse::<f64>().unwrap_or_default()
        })
    };
    Ok(json!({
        "length": history.length,
        "kinds": Kind::ALL.map(Kind::name),
        "parties": parties.collect::<Vec<_>>(),
        "spans": spans.collect::<Vec<_>>(),
        "marks": marks.collect::<Vec<_>>(),
        "counters": {"accepted": glm(&history.accepted), "paid": glm(&history.paid)},
        "latencies": history.latencies().iter().map(latency).collect::<Vec<_>>(),
        "texts": texts.collect::<serde_json::Map<_, _>>(),
    }))
}

fn latency(latency: &Latency) -> Value {
    let of = |share: f64| latency.quantile(share);
    json!({
        "name": latency.name, "count": latency.sorted.len(), "min": of(0.0), "p10": of(0.1), "p50": of(0.5),
        "p90": of(0.9), "max": of(1.0),
    })
}

fn curve<T: Copy>(counter: &Counter<T>, value: impl Fn(T) -> f64) -> Vec<Value> {
    let step = counter.points.len().div_ceil(POINTS).max(1);
    let last = counter.points.len().saturating_sub(1);
    let kept = counter
        .points
        .iter()
        .enumerate()
        .filter(|(index, _)| index % step == 0 || *index == last);
    kept.map(|(_, (at, number))| json!([at, value(*number)]))
        .collect()
}

/// The spans of a page, and where among them each of the history is. Of too many batches, those of an activity that
/// went well and follow each other become one.
fn condensed(all: &[Span]) -> (Vec<Span>, Vec<usize>) {
    let batches = all.iter().filter(|span| span.kind == Kind::Batch).count();
    let together = batches.div_ceil(BATCHES).max(1);
    let mut spans: Vec<Span> = Vec::new();
    let mut places = Vec::with_capacity(all.len());
    let mut current: BTreeMap<Option<usize>, (usize, usize)> = BTreeMap::new();
    for span in all {
        if span.kind != Kind::Batch || span.ending != Ending::Well || together == 1 {
            if span.kind == Kind::Batch {
                current.remove(&span.part_of);
            }
            places.push(spans.len());
            spans.push(span.clone());
            continue;
        }
        match current.get_mut(&span.part_of) {
            Some((place, number)) if *number < together => {
                *number += 1;
                if let Some(first) = spans.get_mut(*place) {
                    first.to = first.to.max(span.to);
                    first.title = format!("{number} batches");
                    first.mentioned += span.mentioned;
                    first.id.clear();
                }
                places.push(*place);
            }
            _ => {
                current.insert(span.part_of, (spans.len(), 1));
                places.push(spans.len());
                spans.push(span.clone());
            }
        }
    }
    (spans, places)
}

#[cfg(test)]
mod tests;
