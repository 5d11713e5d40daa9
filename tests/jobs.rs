//! A consumer of a real Redis stream through restarts, kills, and restarts of Redis: no job is lost, and
//! none is done twice without a reason. Needs what is not everywhere:
//! `cargo test --test promises jobs:: -- --ignored`.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{
    Server, Setup,
    redis::Redis,
    reply::{Reply, reply},
    restart::{Engine, slay, stop},
    wait_for,
    wire::{self, Wire, command},
};
use nix::sys::signal::Signal;

/// What a worker has in hand at most.
const MAX_IN_HAND: usize = 64;

/// A worker; `lease` seconds after its last word its jobs are anybody's.
fn worker(redis: &Redis, lease: u32) -> Setup {
    Server::of("jobs").env("JOBS_REDIS", redis.address()).env("JOBS_LEASE", lease)
}

/// The bulks in an array, whatever is around them.
fn bulks(reply: &Reply<'_>, into: &mut Vec<String>) {
    match reply {
        Reply::Bulk(bytes) => into.push(String::from_utf8_lossy(bytes).into_owned()),
        Reply::Array(items) => items.iter().for_each(|item| bulks(item, into)),
        _ => {}
    }
}

fn list(wire: &mut Wire, line: &str) -> Vec<String> {
    let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
    let bytes = wire.call(&words);
    let mut found = Vec::new();
    bulks(&reply(&bytes).expect("a reply").expect("a whole one").0, &mut found);
    found
}

fn number(wire: &mut Wire, line: &str) -> usize {
    let text = wire.ask(line);
    text.trim().strip_prefix(':').and_then(|digits| digits.parse().ok()).expect(&text)
}

/// Adds jobs of some tenths of a millisecond each, and answers their names.
fn add(wire: &mut Wire, count: usize) -> Vec<String> {
    let one = command(&[b"XADD", b"jobs", b"*", b"text", b"hello", b"rounds", b"3000"]);
    wire.send(one.repeat(count));
    (0..count).map(|_| wire::shown(&wire.reply())).map(|id| last_line(&id)).collect()
}

fn last_line(bulk: &str) -> String {
    bulk.trim_end().rsplit("\r\n").next().unwrap_or_default().to_owned()
}

/// Who has done a job, and how often it had been delivered by then.
#[derive(Debug)]
struct Doing {
    worker: String,
    deliveries: u32,
}

/// Everything that was done, by job.
fn done(wire: &mut Wire) -> BTreeMap<String, Vec<Doing>> {
    let mut done = BTreeMap::<_, Vec<_>>::new();
    for effect in list(wire, "LRANGE jobs:done 0 -1") {
        let words: Vec<_> = effect.split(',').collect();
        let [entry, worker, deliveries, _digest] = words[..] else { panic!("{effect:?}") };
        let deliveries = deliveries.parse().expect("a number");
        done.entry(entry.to_owned())
            .or_default()
            .push(Doing { worker: worker.to_owned(), deliveries });
    }
    done
}

/// Waits until each job was done, and nothing is in anybody's hands.
fn wait_done(wire: &mut Wire, jobs: &[String]) -> BTreeMap<String, Vec<Doing>> {
    let mut seen = 0;
    wait_for("an effect of each job", || {
        let count = number(wire, "LLEN jobs:done");
        // Some may be there twice, so the count alone does not tell.
        count >= jobs.len()
            && std::mem::replace(&mut seen, count) != count
            && done(wire).len() >= jobs.len()
    });
    wait_for("no job to be in anybody's hands", || {
        wire.ask("XPENDING jobs workers").starts_with("*4\r\n:0\r\n")
    });
    let done = done(wire);
    let missing: Vec<_> = jobs.iter().filter(|job| !done.contains_key(*job)).collect();
    assert!(missing.is_empty(), "{} jobs were lost: {missing:?}", missing.len());
    assert_eq!(done.len(), jobs.len(), "jobs that nobody has added");
    assert_eq!(number(wire, "LLEN jobs:failed"), 0);
    done
}

/// What the serving generation says of itself.
struct Stats(String);

impl Stats {
    fn of(server: &Server) -> Stats {
        Stats(server.connect().ask("stats"))
    }

    fn word(&self, name: &str) -> &str {
        let mut words = self.0.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{name}: {}", self.0)).1
    }

    fn number(&self, name: &str) -> i32 {
        self.word(name).parse().unwrap_or_else(|_| panic!("{name}: {}", self.0))
    }
}

/// Waits until the serving generation, which `is_it` knows, has jobs in hand and has done some.
fn wait_at_work(server: &Server, is_it: impl Fn(&Stats) -> bool) -> Stats {
    let mut stats = Stats::of(server);
    wait_for("a generation to be at work", || {
        stats = Stats::of(server);
        is_it(&stats) && stats.number("done") > 0
    });
    stats
}

#[test]
#[ignore = "needs redis-server"]
fn each_job_is_done_exactly_once_through_twenty_restarts() {
    let redis = Redis::start();
    let server = worker(&redis, 30).start();
    let (mut wire, mut jobs) = (redis.connect(), Vec::new());
    for engine in Engine::alternating().take(20) {
        jobs.extend(add(&mut wire, 1000));
        let pid = wait_at_work(&server, |_| true).number("pid");
        assert_eq!(pid, server.pid());
        server.restart(engine.signal());
    }
    let done = wait_done(&mut wire, &jobs);
    for (job, doings) in &done {
        assert!(doings.len() == 1 && doings[0].deliveries == 1, "{job}: {doings:?}");
    }
    let workers: BTreeSet<_> = done.values().map(|doings| &doings[0].worker).collect();
    assert!(workers.len() >= 20, "only {workers:?} have worked");
    let retired = server.wait_lines("fetches no more", 20);
    let idle = retired.iter().filter(|line| line.contains(", 0 jobs in hand")).count();
    assert!(idle < 10, "{idle} of 20 restarts were in a quiet moment:\n{}", retired.join("\n"));
    wait_for("all names but the newest to be taken out of the group", || {
        let consumers = list(&mut wire, "XINFO CONSUMERS jobs workers");
        consumers.iter().filter(|word| *word == "pending").count() == 1
    });
    assert_eq!(Stats::of(&server).number("repeated"), 0);
}

/// The old generation may be asking at that moment, and be answered when it asks for no more.
#[test]
#[ignore = "needs redis-server"]
fn jobs_that_come_during_a_restart_are_done_exactly_once() {
    let redis = Redis::start();
    let server = worker(&redis, 30).start();
    let (mut wire, mut jobs) = (redis.connect(), Vec::new());
    for (round, engine) in Engine::alternating().take(20).enumerate() {
        // Nothing to do, so it waits in Redis for an answer.
        wait_for("a fetch that waits", || {
            wire.ask("INFO clients").contains("\nblocked_clients:1\r")
        });
        server.signal(engine.signal());
        while server.count_lines("restart: done") <= round {
            jobs.extend(add(&mut wire, 1));
        }
        wait_done(&mut wire, &jobs);
    }
    let done = wait_done(&mut wire, &jobs);
    for (job, doings) in &done {
        assert!(doings.len() == 1 && doings[0].deliveries == 1, "{job}: {doings:?}");
    }
}

/// The generations that were killed, and what they had in hand.
#[derive(Default)]
struct Killed {
    in_hand: BTreeMap<String, BTreeSet<String>>,
}

impl Killed {
    /// Kills the generation that serves.
    fn kill(&mut self, stats: &Stats, wire: &mut Wire) {
        let (pid, name) = (stats.number("pid"), stats.word("worker"));
        stop(pid);
        let pending = list(wire, &format!("XPENDING jobs workers - + 1000 {name}"));
        let in_hand = pending.into_iter().filter(|word| word != name).collect();
        slay(pid);
        self.in_hand.insert(name.to_owned(), in_hand);
    }
}

/// One that is killed in its probation is followed by its predecessor, one that is killed later by a
/// new one.
#[test]
#[ignore = "needs redis-server"]
fn a_kill_loses_no_job_and_repeats_only_what_was_in_hand() {
    let redis = Redis::start();
    let server = worker(&redis, 6).arg("--supervised").arg("--probation").arg("5").start();
    let (mut wire, mut jobs, mut killed) = (redis.connect(), Vec::new(), Killed::default());
    let mut at_work = |stays: bool, last: i32| {
        jobs.extend(add(&mut wire, 500));
        let stats = wait_at_work(&server, |stats| (stats.number("pid") == last) == stays);
        (stats.number("pid"), stats)
    };
    let (mut pid, mut stats) = at_work(false, 0);
    let mut wire = redis.connect();
    for (round, engine) in Engine::alternating().take(8).enumerate() {
        let is_crash = round % 3 == 2;
        if is_crash {
            killed.kill(&stats, &mut wire);
            (pid, stats) = at_work(false, pid);
            continue;
        }
        server.signal(engine.signal());
        let (_, newcomer) = at_work(false, pid);
        killed.kill(&newcomer, &mut wire);
        stats = at_work(true, pid).1;
    }
    let done = wait_done(&mut wire, &jobs);
    let repeated: Vec<_> = done.iter().filter(|(_, doings)| doings.len() > 1).collect();
    for (job, doings) in &repeated {
        let [before @ .., last] = doings.as_slice() else { unreachable!("done more than once") };
        assert!(last.deliveries as usize >= doings.len(), "{job}: {doings:?}");
        for doing in before {
            let in_hand = killed.in_hand.get(&doing.worker);
            assert!(in_hand.is_some_and(|jobs| jobs.contains(*job)), "{job}: {doings:?}");
        }
    }
    let in_hand: Vec<_> = killed.in_hand.values().map(BTreeSet::len).collect();
    eprintln!("{} repeats; in hand when killed: {in_hand:?}", repeated.len());
    assert!(
        in_hand.iter().all(|&count| count <= MAX_IN_HAND) && in_hand.iter().any(|&count| count > 0)
    );
}

#[test]
#[ignore = "needs redis-server"]
fn a_worker_outlasts_restarts_of_redis() {
    let mut redis = Redis::start_with_file();
    let server = worker(&redis, 3).start();
    let mut jobs = Vec::new();
    let ends = [Signal::SIGTERM, Signal::SIGKILL].into_iter().cycle();
    for (engine, end) in Engine::alternating().zip(ends.clone()).take(4) {
        let mut wire = redis.connect();
        jobs.extend(add(&mut wire, 500));
        wait_at_work(&server, |_| true);
        redis.end(end);
        // A generation may come and go while there is no Redis: the old one waits for it, with its jobs.
        server.restart(engine.signal());
        redis.start_again();
    }
    let done = wait_done(&mut redis.connect(), &jobs);
    let repeated = done.values().filter(|doings| doings.len() > 1).count();
    eprintln!("{repeated} repeats");
    assert!(repeated <= 4 * MAX_IN_HAND, "{repeated} jobs were done more than once");
    assert!(server.count_lines("lost a line to Redis") >= 4);
}
