//! The report as one JSON object. Pure layout; times in milliseconds, but for `seconds` and `at`, which are
//! seconds, `at` from the start of the run.
//!
//! ```text
//! { "ok": true,                       nobody has noticed, and all was done: exit status 0
//!   "address": "127.0.0.1:8080", "how": "SIGHUP", "restarts": 10, "done": 10, "trouble": null,
//!   "seconds": 6.1, "answers": 9000, "noticed": 0, "own_ms": 0.4,
//!   "nobody_served": { "restarts": { "at": 1.0, "ms": 3.1, "own_ms": 0.1 }, "calm": { ... } },
//!   "clients": [ { "name": "new", "clients": 200, "depth": 1, "step_ms": 5.0, "connects": 1200,
//!       "answers": 1200, "noticed": { "refused": 0, ... },
//!       "latency": { "restarts": { "count": 300, "p50": 0.1, "p99": 0.2, "max": 0.9 }, "calm": { ... } },
//!       "gap": { "restarts": { ... }, "calm": { ... } } } ],
//!   "each": [ { "at": 0.5, "ms": 2.9, "gap_ms": 3.1, "noticed": 0 } ],    a restart each; null: not seen to end
//!   "stories": [ { "at": 0.5, "what": "..." } ] }
//! ```

use std::{fmt, time::Duration};

use heirloom::logging::Quoted;

use super::{
    notice::Notice,
    report::{Latency, Report, Row, ms},
    tally::{Gap, Gaps, Window},
};
use crate::finding::{List, Text};

pub struct Json<'a>(pub &'a Report);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "{{\"ok\":{},\"address\":{},", report.is_ok(), Quoted(&report.address))?;
        write!(f, "\"how\":{},\"restarts\":{},", Quoted(&report.how), report.meant)?;
        let trouble = Text(report.trouble.as_deref());
        write!(f, "\"done\":{},\"trouble\":{trouble},", report.done())?;
        write!(
            f,
            "\"seconds\":{:.3},\"answers\":{},",
            report.lasted.as_secs_f64(),
            report.answered
        )?;
        write!(f, "\"noticed\":{},\"own_ms\":{:.3},", report.noticed, ms(report.own))?;
        write!(f, "\"nobody_served\":")?;
        gaps(&report.gaps, f)?;
        write!(
            f,
            ",\"clients\":{},\"each\":{}",
            List(&report.rows, row),
            List(&report.windows, window)
        )?;
        write!(f, ",\"stories\":{}}}", List(&report.stories, story))
    }
}

fn row(row: &Row, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Row { name, clients, depth, step, sort } = row;
    write!(f, "{{\"name\":{},\"clients\":{clients},\"depth\":{depth},", Quoted(name))?;
    write!(f, "\"step_ms\":{:.3},\"connects\":{},", ms(*step), sort.connects)?;
    write!(f, "\"answers\":{},\"noticed\":{{", sort.answered())?;
    for (at, notice) in Notice::ALL.into_iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(f, "{comma}\"{}\":{}", notice.name(), sort.count(notice))?;
    }
    f.write_str("},\"latency\":{\"restarts\":")?;
    latency(&Latency::of(&sort.in_restarts), f)?;
    f.write_str(",\"calm\":")?;
    latency(&Latency::of(&sort.calm), f)?;
    f.write_str("},\"gap\":")?;
    gaps(&sort.gaps, f)?;
    f.write_str("}")
}

fn latency(latency: &Latency, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Latency { count, p50, p99, max } = latency;
    write!(f, "{{\"count\":{count},\"p50\":{p50:.3},\"p99\":{p99:.3},\"max\":{max:.3}}}")
}

fn gaps(gaps: &Gaps, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let gap = |gap: &Gap| {
        let (at, length, own) = (gap.from.as_secs_f64(), ms(gap.length), ms(gap.own));
        format!("{{\"at\":{at:.6},\"ms\":{length:.3},\"own_ms\":{own:.3}}}")
    };
    write!(f, "{{\"restarts\":{},\"calm\":{}}}", gap(&gaps.restarts), gap(&gaps.calm))
}

fn window(window: &Window, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Window { began, ended, gap, noticed } = window;
    let took = ended.map_or("null".to_owned(), |ended| format!("{:.3}", ms(ended - *began)));
    write!(f, "{{\"at\":{:.6},\"ms\":{took},", began.as_secs_f64())?;
    write!(f, "\"gap_ms\":{:.3},\"noticed\":{noticed}}}", ms(*gap))
}

fn story((at, what): &(Duration, String), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{{\"at\":{:.6},\"what\":{}}}", at.as_secs_f64(), Quoted(what))
}
