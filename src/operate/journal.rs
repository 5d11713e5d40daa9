//! What happens to a whole service, for whoever asks afterwards: an entry in the journal, and a count. An entry is
//! one line of `key=value`, as the control socket has it. Knows no process.

use std::{fmt::Display, time::Duration};

use crate::{
    cause::Cause,
    inventory::word,
    metrics::{Kind, Metrics},
    plan::Engine,
    system::signal_set::Signal,
    verdict::{Program, RestartError, Steps},
    workers::Worker,
};

/// When something has happened, and in which of several workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Since 1970.
    pub at: Duration,
    pub worker: Option<Worker>,
}

impl Moment {
    /// The first words of its entry.
    fn event(self, name: &str) -> String {
        let worker = self.worker.map_or(String::new(), |it| format!(" worker={}", it.index));
        format!("event={name} at={}{worker}", seconds(self.at))
    }
}

/// A generation by its process and its number.
type Who = (u32, u64);

fn who((pid, generation): Who) -> String {
    format!("generation={generation} pid={pid}")
}

const RESTARTS: (&str, &str) =
    ("heirloom_restarts", "Restarts, by engine and by what came of them: committed, or why not.");
const STEPS: (&str, &str) = (
    "heirloom_restart_steps",
    "Steps that restarts have taken: the process was made, it was ready, it has committed; state and connections \
     were saved; connections were not served (downtime).",
);
const STEP_TIMES: (&str, &str) = (
    "heirloom_restart_step_seconds",
    "The time of those steps; to be ready and to commit count from the request.",
);

/// A restart that has come to its end.
#[derive(Debug)]
pub(crate) struct Restarted<'a> {
    /// The new generation, and its process if it stays.
    pub generation: u64,
    pub engine: Engine,
    pub outcome: Result<u32, &'a RestartError>,
    pub cause: &'a Cause,
    /// The process that tells it, and its generation; a supervisor has none.
    pub by: (u32, Option<u64>),
    pub took: Duration,
    pub steps: Steps,
    /// What the new process runs, and what this one does.
    pub program: Option<&'a Program>,
    pub own: Option<&'a Program>,
}

/// All names are there before there is anything to count, so that a monitor sees the first one as well.
pub(crate) fn name_counts(metrics: &Metrics) {
    let outcomes = || RestartError::NAMES.into_iter().chain(["committed"]);
    for engine in [Engine::Fork, Engine::ForkExec] {
        outcomes().for_each(|outcome| count(metrics, engine, outcome, 0));
        for step in ["made", "ready", "committed", "saved", "downtime"] {
            count_step(metrics, engine, step, None);
        }
    }
}

fn count(metrics: &Metrics, engine: Engine, outcome: &str, more: u64) {
    let labels = [("engine", &*engine.to_string()), ("outcome", outcome)];
    metrics.add(RESTARTS.0, &labels, RESTARTS.1, Kind::Counter, more);
}

fn count_step(metrics: &Metrics, engine: Engine, step: &str, time: Option<Duration>) {
    let labels = [("engine", &*engine.to_string()), ("step", step)];
    let nanos = time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    metrics.add(STEPS.0, &labels, STEPS.1, Kind::Counter, u64::from(time.is_some()));
    metrics.add(STEP_TIMES.0, &labels, STEP_TIMES.1, Kind::Time, nanos);
}

/// Writes it down, and counts it.
pub(crate) fn note_restart(metrics: &Metrics, moment: Moment, it: &Restarted<'_>) {
    let outcome = it.outcome.map_or_else(RestartError::name, |_| "committed");
    count(metrics, it.engine, outcome, 1);
    for (step, time) in steps(&it.steps) {
        if time.is_some() {
            count_step(metrics, it.engine, step, time);
        }
    }
    if let Some(copied) = it.steps.copied {
        let help = "Bytes of the service's state as it was copied to a new program last.";
        metrics.set("heirloom_state_bytes", moment.worker, help, copied.bytes);
    }
    if !is_repeated(metrics, it, outcome) {
        metrics.note(&entry(moment, it, outcome));
    }
}

/// Requests can be refused as often as anybody likes: the first one in a row is enough.
fn is_repeated(metrics: &Metrics, it: &Restarted<'_>, outcome: &str) -> bool {
    let is_refused = it.outcome.is_err_and(RestartError::is_refusal);
    let last = || metrics.entries().pop().map(|(_, entry)| entry).unwrap_or_default();
    is_refused && last().contains(&format!(" outcome={outcome} "))
}

fn steps(steps: &Steps) -> [(&'static str, Option<Duration>); 5] {
    [
        ("made", steps.made),
        ("ready", steps.ready),
        ("committed", steps.committed),
        ("saved", steps.saved),
        ("downtime", steps.downtime),
    ]
}

/// Somebody wants a new generation to be replaced by the old one.
pub(crate) fn note_roll_back(
    metrics: &Metrics,
    moment: Moment,
    new: Who,
    cause: &Cause,
    reason: &str,
) {
    let (event, new, reason) = (moment.event("rollback"), who(new), word(reason));
    metrics.note(&format!("{event} {new} {cause} reason={reason}"));
}

/// The service has begun.
pub(crate) fn note_start(metrics: &Metrics, moment: Moment, first: Who, own: Option<&Program>) {
    let mut line = format!("{} {} {}", moment.event("start"), who(first), Cause::Start);
    own.iter().for_each(|own| put_program(&mut line, own, ""));
    metrics.note(&line);
}

/// The service is to end, and accepts for so long before it drains.
pub(crate) fn note_lame_duck(
    metrics: &Metrics,
    moment: Moment,
    main: Who,
    cause: &Cause,
    within: Duration,
) {
    let (event, main, within) = (moment.event("lame_duck"), who(main), within.as_secs_f64());
    metrics.note(&format!("{event} {main} {cause} within={within:.3}"));
}

/// The drain of one process, as it begins.
#[derive(Debug)]
pub(crate) struct Drains<'a> {
    /// `restart`, `roll_back` or `stop`.
    pub reason: &'static str,
    /// Who has told this process that the service ends, if somebody has.
    pub cause: Option<&'a Cause>,
    pub connections: usize,
    /// How long it may take.
    pub within: Option<Duration>,
}

pub(crate) fn note_drain(metrics: &Metrics, moment: Moment, old: Who, it: &Drains<'_>) {
    let Drains { reason, cause, connections, within } = it;
    let mut line = format!("{} {} reason={reason}", moment.event("drain"), who(old));
    cause.iter().for_each(|cause| line.push_str(&format!(" {cause}")));
    line.push_str(&format!(" connections={connections}"));
    let within = within.map(|within| format!(" within={:.3}", within.as_secs_f64()));
    metrics.note(&(line + &within.unwrap_or_default()));
}

/// The end of a drain: after so long, how, and how many connections were ended.
pub(crate) fn note_drained(
    metrics: &Metrics,
    moment: Moment,
    old: Who,
    took: Duration,
    (how, cut): (&str, usize),
) {
    let (event, old, took) = (moment.event("drained"), who(old), took.as_secs_f64());
    metrics.note(&format!("{event} {old} outcome={how} took={took:.6} cut={cut}"));
}

/// A generation has ended in another way than by its own will; the status is that of a shell.
pub(crate) fn note_death(metrics: &Metrics, moment: Moment, it: Who, status: u8) {
    let signal = match status {
        129..=192 => format!(" signal={}", Signal::of(i32::from(status) - 128)),
        _ => String::new(),
    };
    let (event, it) = (moment.event("died"), who(it));
    metrics.note(&format!("{event} {it} status={status}{signal}"));
}

/// A time since 1970 in seconds, to the millisecond.
fn seconds(at: Duration) -> String {
    format!("{:.3}", at.as_secs_f64())
}

fn entry(moment: Moment, it: &Restarted<'_>, outcome: &str) -> String {
    let Restarted { generation, engine, cause, by: (by, old), took, .. } = it;
    let (event, took) = (moment.event("restart"), took.as_secs_f64());
    let mut line = format!(
        "{event} generation={generation} engine={engine} outcome={outcome} took={took:.6} {cause}"
    );
    let mut put = |key: &str, value: &dyn Display| line.push_str(&format!(" {key}={value}"));
    it.outcome.iter().for_each(|pid| put("pid", pid));
    put("told_by", by);
    old.iter().for_each(|old| put("old_generation", old));
    for (step, time) in steps(&it.steps) {
        time.iter().for_each(|time| put(step, &format_args!("{:.6}", time.as_secs_f64())));
    }
    let Steps { moved_bytes, kept_back, copied, .. } = it.steps;
    for (key, number) in [("moved_bytes", moved_bytes), ("kept_back", kept_back)] {
        [number].iter().filter(|number| **number > 0).for_each(|number| put(key, number));
    }
    copied.iter().for_each(|copied| put("state_bytes", &copied.bytes));
    let same = it.program.is_none(); // a fork
    it.program.or(it.own).iter().for_each(|program| put_program(&mut line, program, ""));
    it.own.iter().filter(|_| !same).for_each(|own| put_program(&mut line, own, "old_"));
    if let Err(why) = it.outcome {
        line.push_str(&format!(" reason={}", word(&why.to_string()))); // last: it may be cut
    }
    line
}

fn put_program(line: &mut String, program: &Program, prefix: &str) {
    let Program { path, inode, modified, build_id, .. } = program;
    let path = word(&path.to_string_lossy());
    let modified = seconds(*modified);
    line.push_str(&format!(
        " {prefix}program={path} {prefix}inode={inode} {prefix}modified={modified}"
    ));
    line.extend(build_id.as_ref().map(|id| format!(" {prefix}build_id={id}")));
}

/// The reply to `log`.
pub(crate) fn reply(entries: &[(u64, String)]) -> String {
    let plural = if entries.len() == 1 { "y" } else { "ies" };
    let head = format!("ok: {} entr{plural}", entries.len());
    entries.iter().fold(head, |all, (number, entry)| format!("{all}\nnumber={number} {entry}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cause::Asker;

    #[test]
    fn an_entry_says_who_when_what_and_why() {
        let at = Duration::from_millis(1_700_000_000_250);
        let by = Asker { pid: 7, uid: 1000, program: Some("my sh".to_owned()) };
        let cause = Cause::Signal { name: "SIGHUP".to_owned(), by: Some(by) };
        let program = Program {
            path: PathBuf::from("/srv/a b"),
            device: 1,
            inode: 2,
            modified: at,
            build_id: Some("dead".to_owned()),
            runs_already: false,
        };
        let why = RestartError::Stopped;
        let steps = Steps { made: Some(Duration::from_micros(1500)), ..Steps::default() };
        let it = Restarted {
            generation: 3,
            engine: Engine::ForkExec,
            outcome: Err(&why),
            cause: &cause,
            by: (12, Some(2)),
            took: Duration::from_millis(20),
            steps,
            program: Some(&program),
            own: Some(&Program { build_id: None, ..program.clone() }),
        };
        let worker = Some(Worker { index: 1, count: 2 });
        assert_eq!(
            entry(Moment { at, worker }, &it, "stopped"),
            "event=restart at=1700000000.250 worker=1 generation=3 engine=fork-exec outcome=stopped took=0.020000 \
             trigger=signal signal=SIGHUP by_pid=7 by_uid=1000 by_program=my%20sh told_by=12 old_generation=2 made=0.001500 \
             program=/srv/a%20b inode=2 modified=1700000000.250 build_id=dead old_program=/srv/a%20b \
             old_inode=2 old_modified=1700000000.250 reason=restart:%20given%20up%2C%20this%20process%20was%20told%20to%20stop"
        );
        assert_eq!(reply(&[(7, "a=b".to_owned())]), "ok: 1 entry\nnumber=7 a=b");
    }
}
