//! Conversations of several peers, played in every way in which they may go: services that are right pass, and what is
//! wrong with others is found, in the run that shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use heirloom::{
    Alarm, ConnId, Connection, Engine, Leaving, Move, Net, Origin, Reason, Result, Service, Start,
    Timeouts, codec,
    testing::{Conversation, Failure, Run},
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flaw {
    #[default]
    None,
    /// It counts its clients in a `static`.
    Static,
    /// Half a line is in the session, and `export` leaves it out.
    ForgetsHalf,
    /// It exports its sessions, and does not import them.
    NoImport,
    /// It does not write down what it knows.
    NoSave,
    /// Having been rolled back, it says everybody's last answer again.
    AnswersTwice,
    /// Where clients are lost, so is what they have set.
    ForgetsTheLost,
    /// A child of a fork begins anew.
    EmptyChild,
    /// It cannot go on from half a line.
    Panics,
}

/// Names and values for everybody: `set NAME VALUE`, `get NAME`, each answered by a line.
#[derive(Default)]
struct Store {
    flaw: Flaw,
    values: BTreeMap<String, String>,
    answers: BTreeMap<ConnId, String>,
}

impl Store {
    fn with(flaw: Flaw) -> impl Fn() -> Store {
        move || Store { flaw, ..Store::default() }
    }

    fn answer(&mut self, line: &str) -> String {
        match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["set", name, value] => {
                self.values.insert(name.to_owned(), value.to_owned());
                "ok\n".to_owned()
            }
            ["get", name] => self.values.get(name).map_or("none\n".into(), |it| format!("{it}\n")),
            _ => "what?\n".to_owned(),
        }
    }
}

static CLIENTS: AtomicU32 = AtomicU32::new(0);

impl Service for Store {
    /// What has come of a line.
    type Session = Vec<u8>;

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Vec<u8>> {
        if self.flaw == Flaw::Static {
            let before = CLIENTS.fetch_add(1, Ordering::Relaxed);
            conn.send(format!("{before} were here before\n").as_bytes());
        }
        Ok(Vec::new())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        half: &mut Vec<u8>,
        input: &[u8],
    ) -> Result<usize> {
        assert!(self.flaw != Flaw::Panics || input.ends_with(b"\n"), "half a line");
        half.extend_from_slice(input);
        while let Some((line, taken)) = codec::line(half, 100)? {
            let answer = self.answer(&String::from_utf8_lossy(line));
            half.drain(..taken);
            conn.send(answer.as_bytes());
            self.answers.insert(conn.id(), answer);
        }
        Ok(input.len())
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, _half: Vec<u8>, _why: Reason) {
        self.answers.remove(&id);
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        match (self.flaw, &start) {
            (Flaw::AnswersTwice, Start::Resumed { .. }) => {
                for (id, answer) in &self.answers {
                    net.get(*id).into_iter().for_each(|mut conn| conn.send(answer.as_bytes()));
                }
            }
            (Flaw::ForgetsTheLost, Start::Resumed { gone }) if !gone.is_empty() => {
                self.values.clear();
            }
            (Flaw::EmptyChild, Start::Forked { .. }) => self.values.clear(),
            _ => {}
        }
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        if self.flaw != Flaw::NoSave {
            for (name, value) in &self.values {
                writeln!(out, "{name} {value}")?;
            }
        }
        Ok(())
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        self.values.clear();
        for line in saved.lines() {
            let line = line?;
            let (name, value) = line.split_once(' ').ok_or("not a pair")?;
            self.values.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }

    fn export(&self, half: &Vec<u8>) -> Option<Vec<u8>> {
        Some(if self.flaw == Flaw::ForgetsHalf { Vec::new() } else { half.clone() })
    }

    fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<Vec<u8>> {
        if self.flaw == Flaw::NoImport {
            return Err("this program does not take over connections".into());
        }
        Ok(saved.to_vec())
    }
}

/// Two who set, and one who comes late and asks.
fn of_a_store() -> Conversation {
    Conversation::new()
        .says("ann", "set x 1\n")
        .hears("ann", "ok\n")
        .promises("x is set")
        .says("bob", "get x\nset y 2\n")
        .hears("bob", "1\n")
        .keeps("x is set")
        .or_hears("none\n")
        .hears("bob", "ok\n")
        .promises("y is set")
        .finishes("bob")
        .is_closed("bob")
        .says("cid", "get y\nget x\n")
        .hears("cid", "2\n")
        .keeps("y is set")
        .or_hears("none\n")
        .hears("cid", "1\n")
        .keeps("x is set")
        .or_hears("none\n")
        .says("ann", "get y\n")
        .hears("ann", "2\n")
        .keeps("y is set")
        .or_hears("none\n")
}

fn failure(flaw: Flaw) -> Failure {
    of_a_store().first_failure(Store::with(flaw)).expect("it is found")
}

#[test]
fn a_service_that_is_right_passes_in_every_way() {
    let runs = of_a_store().check(Store::with(Flaw::None));
    assert_eq!((runs, of_a_store().runs().len()), (643, 643));
    let names: BTreeSet<_> = of_a_store().runs().iter().map(Run::to_string).collect();
    assert_eq!(names.len(), runs, "each has a name of its own");
    for run in of_a_store().runs() {
        assert_eq!(run.to_string().parse(), Ok(run), "by which it can be played alone");
    }
}

#[test]
fn what_outlives_the_service_is_found_by_playing_it_twice() {
    let count =
        Conversation::new().says("ann", "get x\n").hears("ann", "0 were here before\nnone\n");
    let failure = count.first_failure(Store::with(Flaw::Static)).expect("it is found");
    assert_eq!(failure.run.to_string(), "twice");
    assert_eq!(
        failure.what,
        r#"step 3: ann hears "1 were here before\nnone\n" instead of "0 were here before\nnone\n""#
    );
}

#[test]
fn half_a_message_that_is_forgotten_is_found_by_a_restart_within_it() {
    let failure = failure(Flaw::ForgetsHalf);
    assert_eq!(failure.run.to_string(), "fork-exec moving after 2:1, commits");
    assert_eq!(failure.what, r#"step 3: ann hears "what?\n" instead of "ok\n""#);
    // A fork has the session as it is.
    of_a_store().only("fork moving after 2:1, commits", Store::with(Flaw::ForgetsHalf));
}

#[test]
fn a_missing_import_is_found_by_the_engine_that_needs_it() {
    let failure = failure(Flaw::NoImport);
    assert_eq!(failure.run.to_string(), "fork-exec moving after 2:1, commits");
    assert!(failure.transcript.iter().any(|line| line.trim() == "ann is closed"), "{failure}");
    of_a_store().only("fork moving after 2:1, commits", Store::with(Flaw::NoImport));
}

#[test]
fn a_state_that_is_not_saved_is_found_after_the_first_answer() {
    let failure = failure(Flaw::NoSave);
    assert_eq!(failure.run.to_string(), "fork-exec moving after 5:1, commits");
    assert_eq!(failure.what, r#"step 6: bob hears "none\nok\n" instead of "1\n""#);
}

#[test]
fn what_is_answered_twice_is_found_by_a_roll_back() {
    let failure = failure(Flaw::AnswersTwice);
    assert_eq!(failure.run.to_string(), "fork-exec moving after 5:1, rolls back");
    assert_eq!(failure.what, r#"step 15: ann hears "ok\n2\n" instead of "2\n""#);
}

#[test]
fn a_promise_that_is_not_kept_is_found_by_the_loss_of_a_side() {
    let failure = failure(Flaw::ForgetsTheLost);
    assert_eq!(failure.run.to_string(), "fork-exec moving after 2, loses new at serving");
    assert_eq!(failure.what, r#"step 6: bob hears "none\nok\n" instead of "1\n""#);
    // Nobody was promised anything.
    let run = "fork-exec moving after 1, loses new at serving";
    of_a_store().only(run, Store::with(Flaw::ForgetsTheLost));
}

#[test]
fn what_only_a_forked_child_does_is_found_by_a_fork() {
    let failure = failure(Flaw::EmptyChild);
    assert_eq!(failure.run.to_string(), "fork moving after 5:1, commits");
}

#[test]
fn a_panic_is_told_with_its_run() {
    let failure = failure(Flaw::Panics);
    assert_eq!(
        (failure.run.to_string().as_str(), failure.what.as_str()),
        ("byte by byte", "panicked: half a line")
    );
}

#[test]
fn a_failure_says_how_to_play_it_alone_and_what_was_said() {
    let text = failure(Flaw::ForgetsHalf).to_string();
    assert_eq!(
        text,
        "the conversation does not go as it should: step 3: ann hears \"what?\\n\" instead of \"ok\\n\"
in the run `fork-exec moving after 2:1, commits`; to play it alone: `.only(\"fork-exec moving after 2:1, commits\", ...)`
  1 ann connects
  2 ann says \"set x 1\\n\"
    - fork-exec moving after 2:1, commits
      ann hears \"what?\\n\""
    );
    let alone = std::panic::catch_unwind(|| {
        of_a_store().only("fork-exec moving after 2:1, commits", Store::with(Flaw::ForgetsHalf));
    });
    let said = alone.expect_err("the same again");
    assert_eq!(said.downcast_ref::<String>(), Some(&text));
}

#[test]
fn a_run_of_another_conversation_is_refused() {
    for (run, place) in [
        ("fork moving after 99, commits", "99"),
        ("cut at 2:2 and 2:8", "2:8"),
        ("cut at 1:1", "1:1"),
        ("fork moving after 3, commits", "3"),
    ] {
        let played = of_a_store().play(&run.parse().expect("a run"), Store::with(Flaw::None));
        let what = played.expect_err("it is none").what;
        assert!(what.starts_with(&format!("{place} is no place")), "{run}: {what}");
    }
    for run in [
        "",
        "plainly",
        "cut at 2-3",
        "fork after 2, commits",
        "fork moving after 2, loses both at copied",
    ] {
        let refused = run.parse::<Run>().expect_err(run);
        assert_eq!(refused, format!("{run:?} is no run of a conversation"));
    }
}

#[test]
fn a_long_conversation_has_a_bound_and_begins_as_it_always_does() {
    let long = "x".repeat(500);
    let talk = Conversation::new().says("ann", &long).hears("ann", &long).staying();
    let all = talk.clone().at_most(usize::MAX).runs();
    let some = talk.clone().at_most(300).runs();
    assert!(all.len() > 6_000 && some.len() == 300, "{} and {}", all.len(), some.len());
    assert!(some.iter().all(|run| all.contains(run)) && some[0] == all[0]);
    let others = talk.seed(1).runs();
    assert_ne!(others, all);
}

/// Each byte comes back, and by which side.
struct Version;

impl Service for Version {
    type Session = bool;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<bool> {
        Ok(false)
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        stays: &mut bool,
        input: &[u8],
    ) -> Result<usize> {
        *stays |= input[0] == b's';
        if input[0] == b'r' {
            conn.net.roll_back("unfit");
        }
        let generation = conn.net.generation();
        conn.send(format!("{generation}").as_bytes());
        Ok(1)
    }

    fn on_move(&self, stays: &bool) -> Move {
        if *stays { Move::Stay } else { Move::Yes }
    }

    fn export(&self, _: &bool) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result<bool> {
        Ok(false)
    }
}

/// In the words of the run, and which generation answers each of a peer that stays, one that moves, a newcomer.
#[test]
fn old_and_new_serve_beside_each_other() {
    let talk = |[stays, moves, new]: [&str; 3]| {
        Conversation::new()
            .says("stays", "s")
            .hears("stays", "0")
            .says("moves", "m")
            .hears("moves", "0")
            .says("new", "n")
            .hears("new", new)
            .says("stays", "s")
            .hears("stays", stays)
            .says("moves", "m")
            .hears("moves", moves)
    };
    for engine in [Engine::Fork, Engine::ForkExec] {
        let only = |run: &str, said| talk(said).only(&format!("{engine} {run}"), || Version);
        only("moving after 5, commits", ["0", "1", "1"]);
        only("moving after 5, commits 4 later", ["0", "1", "1"]);
        only("staying after 5, commits", ["0", "0", "1"]);
        only("staying after 5, commits 9 later", ["0", "0", "1"]);
        only("moving after 5, rolls back", ["0", "0", "0"]);
        only("moving after 5, rolls back 2 later", ["0", "0", "1"]);
        only("staying after 5, rolls back 9 later", ["0", "0", "1"]);
        only("moving after 5, loses new at copied", ["0", "0", "0"]);
        only("moving after 5, loses new at released", ["0", "0", "0"]);
        only("moving after 5, loses new at handed-back", ["0", "0", "0"]);
        only("moving after 5, loses new at returned", ["0", "0", "0"]);
        for stage in ["copied", "released", "serving", "handed-back"] {
            only(&format!("moving after 5, loses old at {stage}"), ["lost", "1", "1"]);
        }
        only("moving after 5, loses old at returned", ["lost", "lost", "1"]);
        only("moving after 5, loses new at serving", ["0", "lost", "0"]);
        only("staying after 5, loses new at serving", ["0", "0", "0"]);
        only("staying after 5, loses old at serving", ["lost", "lost", "1"]);
    }
}

#[test]
fn a_new_side_that_asks_for_it_is_rolled_back() {
    let talk = Conversation::new()
        .says("ann", "a")
        .hears("ann", "0")
        .says("ann", "ar")
        .hears("ann", "11")
        .says("ann", "a")
        .hears("ann", "0");
    for engine in [Engine::Fork, Engine::ForkExec] {
        talk.only(&format!("{engine} moving after 2, commits 9 later"), || Version);
    }
}

/// Dials an upstream for what its clients say, and tells the time each minute.
#[derive(Default)]
struct Relay {
    upstream: Option<ConnId>,
    clients: BTreeSet<ConnId>,
}

const MINUTE: Duration = Duration::from_secs(60);
const STROKE: Alarm = Alarm(1);

impl Relay {
    fn tell(&self, net: &mut Net, text: &[u8]) {
        for &id in &self.clients {
            net.get(id).into_iter().for_each(|mut conn| conn.send(text));
        }
    }
}

impl Service for Relay {
    type Session = bool;

    fn on_start(&mut self, net: &mut Net, start: Start) {
        if start == Start::Fresh {
            net.set_interval(STROKE, MINUTE);
            net.dial("10.0.0.1:80", 7).expect("an address");
        }
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.tell(net, b"a minute\n");
    }

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<bool> {
        let dialed = matches!(origin, Origin::Dialed { .. });
        if dialed {
            self.upstream = Some(conn.id());
        } else {
            self.clients.insert(conn.id());
        }
        Ok(dialed)
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, up: &mut bool, input: &[u8]) -> Result<usize> {
        let Some((_, taken)) = codec::line(input, 100)? else { return Ok(0) };
        let line = &input[..taken];
        if *up {
            self.tell(conn.net, line);
        } else if let Some(mut upstream) = self.upstream.and_then(|id| conn.net.get(id)) {
            upstream.send(line);
        }
        Ok(taken)
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, _up: bool, _why: Reason) {
        self.clients.remove(&id);
    }

    fn export(&self, up: &bool) -> Option<Vec<u8>> {
        Some(vec![u8::from(*up)])
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<bool> {
        let up = saved == [1];
        if up {
            self.upstream = Some(conn.id());
        } else {
            self.clients.insert(conn.id());
        }
        Ok(up)
    }
}

#[test]
fn dials_alarms_and_ends_are_steps_like_others() {
    let talk = Conversation::new()
        .timeouts(Timeouts::new().first_message(None).all_idle(None))
        .connects("ann")
        .answers("upstream", "10.0.0.1:80")
        .says("bob", "hello\n")
        .hears("upstream", "hello\n")
        .says("upstream", "welcome\n")
        .hears_in_any_order("bob", ["welcome\n"])
        .hears("ann", "welcome\n")
        .resets("bob")
        .passes(MINUTE)
        .hears("ann", "a minute\n")
        .connects("cid")
        .leaves("ann")
        .passes(MINUTE / 2)
        .passes(MINUTE / 2)
        .hears("cid", "a minute\n");
    assert!(talk.check(Relay::default) > 400);
    // Nobody has dialed that.
    let failure = Conversation::new().answers("other", "10.0.0.2:80").first_failure(Relay::default);
    assert_eq!(failure.expect("nobody").what, "step 1: the service has not dialed 10.0.0.2:80");
}

/// Keeps nothing, so it does not matter who serves.
#[test]
fn who_shares_nothing_may_stay() {
    let talk = Conversation::new()
        .says("ann", "get x\n")
        .hears("ann", "none\n")
        .says("bob", "get y\n")
        .hears("bob", "none\n")
        .says("ann", "get z\n")
        .hears("ann", "none\n");
    let moving = talk.runs().len();
    assert!(talk.clone().staying().check(Store::with(Flaw::None)) > moving);
    assert!(talk.by(Engine::Fork).check(Store::with(Flaw::None)) < moving);
}

static TOLD: AtomicU32 = AtomicU32::new(0);

/// Numbers what it says, through all runs, and says when its process is to leave.
struct Polite;

impl Service for Polite {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 100)? else { return Ok(0) };
        let number = TOLD.fetch_add(1, Ordering::Relaxed);
        conn.send(format!("{number}: {}\n", String::from_utf8_lossy(line)).as_bytes());
        Ok(taken)
    }

    fn on_drain(&mut self, conn: &mut Connection<'_>, _: &mut (), _: &Leaving) -> Result {
        conn.send(b"call again\n");
        Ok(())
    }
}

fn without_digits(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
}

/// It exports nothing, so its connections stay in any case.
#[test]
fn who_stays_may_hear_that_its_side_leaves() {
    let talk = Conversation::new()
        .normalised(without_digits)
        .says("ann", "hello\n")
        .hears("ann", "0: hello\n")
        .says("bob", "hi\n")
        .hears("bob", "1: hi\n")
        .says("ann", "bye\n")
        .hears("ann", "2: bye\n");
    let failure = talk.first_failure(|| Polite).expect("a fork-exec, and ann stays");
    assert_eq!(failure.run.to_string(), "fork-exec moving after 2:1, commits");
    assert_eq!(failure.what, r#"step 3: ann hears "call again\n: hello\n" instead of ": hello\n""#);
    talk.may_hear("ann", "call again\n").may_hear("bob", "call again\n").check(|| Polite);
}

/// What a dead side has accepted after the copy is nobody's, and what was said before it is the other one's.
#[test]
fn a_promise_is_that_of_the_side_that_gave_it() {
    let [early, late] = ["after 2", "after 1"].map(|at| format!("fork-exec moving {at}, loses"));
    let store = || {
        Conversation::new()
            .says("ann", "set x 1\n")
            .hears("ann", "ok\n")
            .promises("x is set")
            .says("bob", "get x\n")
            .hears("bob", "1\n")
            .keeps("x is set")
            .or_hears("none\n")
    };
    store().only(&format!("{early} new at serving"), Store::with(Flaw::None));
    store().only(&format!("{late} new at serving 1 later"), Store::with(Flaw::None));
    store().only(&format!("{late} old at serving 1 later"), Store::with(Flaw::None));
    // A new side that forgets what it has served, where nothing was lost with the old one.
    let failure = store().play(
        &format!("{early} old at handed-back").parse().expect("a run"),
        Store::with(Flaw::NoSave),
    );
    assert_eq!(failure.expect_err("x is 1").what, r#"step 6: bob hears "none\n" instead of "1\n""#);
}

#[test]
fn a_dial_may_be_refused() {
    let talk = Conversation::new()
        .connects("ann")
        .refuses("10.0.0.1:80")
        .says("ann", "anybody?\n")
        .hears("ann", "");
    talk.check(Relay::default);
}
