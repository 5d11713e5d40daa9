//! A callback that panics ends what it was about, and nothing else: the table of `Service`, line by line.

use std::{
    cell::RefCell,
    fs,
    io::{self, BufRead, Write},
    os::unix::{net::UnixStream, process::ExitStatusExt},
    rc::Rc,
    time::Duration,
};

use crate::common::{
    self, Client, Server, in_session,
    ops::{Operated, names, newcomer, wait_settled},
    restart::{Engine, Lab},
    wait_gone,
};
use heirloom::{
    Alarm, ConnId, Connection, DatagramPeer, Deferred, Leaving, Mail, Move, Net, Origin, Reason,
    Result, Service, SocketId, Start, Timer, limits::HIGH_MARK, testing::Harness,
};
use nix::sys::signal::Signal;

for_both_engines!(
    a_panic_costs_one_connection,
    a_restart_that_panics_changes_nothing,
    a_start_that_panics_is_rolled_back,
    what_only_hears_of_a_restart_may_panic,
    a_process_that_ends_by_a_panic_lets_the_old_side_serve,
);

// In memory: each callback by itself.

/// Panics in the callback whose name is here, and notes all that are called.
#[derive(Clone, Default)]
struct Script {
    panics: Rc<RefCell<&'static str>>,
    calls: Rc<RefCell<Vec<String>>>,
}

impl Script {
    fn enter(&self, callback: &str) {
        self.calls.borrow_mut().push(callback.to_owned());
        if *self.panics.borrow() == callback {
            panic!("as told");
        }
    }

    fn panic_in(&self, callback: &'static str) {
        *self.panics.borrow_mut() = callback;
    }

    /// What was called since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.borrow_mut())
    }
}

const TIMER: Timer = Timer(1);
const WAIT: Duration = Duration::from_secs(1);

/// One byte is one request: `t`imer, `b`urst, and whatever else is echoed.
struct Brittle(Script);

impl Service for Brittle {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        self.0.enter("on_open");
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        conn.send(b"<");
        self.0.enter("on_data");
        match input[0] {
            b't' => conn.set_timer(TIMER, WAIT),
            b'b' => conn.send(&vec![b'x'; 2 * HIGH_MARK]),
            byte => conn.send(&[byte]),
        }
        Ok(1)
    }

    fn on_eof(&mut self, conn: &mut Connection<'_>, _: &mut ()) -> Result {
        self.0.enter("on_eof");
        conn.close();
        Ok(())
    }

    fn on_writable(&mut self, _conn: &mut Connection<'_>, _: &mut ()) -> Result {
        self.0.enter("on_writable");
        Ok(())
    }

    fn on_timer(&mut self, _conn: &mut Connection<'_>, _: &mut (), _timer: Timer) -> Result {
        self.0.enter("on_timer");
        Ok(())
    }

    fn on_drain(&mut self, _conn: &mut Connection<'_>, _: &mut (), _: &Leaving) -> Result {
        self.0.enter("on_drain");
        Ok(())
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _: (), why: Reason) {
        self.0.calls.borrow_mut().push(why.to_string());
        self.0.enter("on_close");
    }

    fn on_dial_failed(&mut self, _net: &mut Net, _tag: u64, _why: std::io::Error) {
        self.0.enter("on_dial_failed");
    }

    fn on_datagram(&mut self, _: &mut Net, _: SocketId, _: &DatagramPeer, _: &[u8]) {
        self.0.enter("on_datagram");
    }

    fn generation_of(&self, _: SocketId, _: &DatagramPeer, _: &[u8]) -> Option<u64> {
        self.0.enter("generation_of");
        None
    }

    fn on_alarm(&mut self, _net: &mut Net, _key: Alarm) {
        self.0.enter("on_alarm");
    }

    fn on_deferred(&mut self, _net: &mut Net, _key: Deferred) {
        self.0.enter("on_deferred");
    }

    fn on_start(&mut self, _net: &mut Net, _start: Start) {
        self.0.enter("on_start");
    }

    fn on_retire(&mut self, _net: &mut Net) {
        self.0.enter("on_retire");
    }

    fn on_move(&self, _: &()) -> Move {
        self.0.enter("on_move");
        Move::Yes
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        self.0.enter("save");
        out.write_all(b"state")?;
        Ok(())
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        self.0.enter("load");
        io::copy(saved, &mut io::sink())?;
        Ok(())
    }

    fn export(&self, _: &()) -> Option<Vec<u8>> {
        self.0.enter("export");
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        self.0.enter("import");
        Ok(())
    }
}

impl Mail<u8> for Brittle {
    fn on_mail(&mut self, _net: &mut Net, mail: u8) {
        self.0.enter(if mail == 0 { "on_mail" } else { "more mail" });
    }
}

fn brittle() -> (Harness<Brittle>, Script) {
    let script = Script::default();
    let harness = Harness::new(Brittle(script.clone())).catch_panics();
    script.calls();
    (harness, script)
}

#[test]
fn a_panic_about_a_connection_closes_it_and_no_other() {
    for callback in ["on_open", "on_data", "on_eof", "on_writable", "on_timer", "on_drain"] {
        let (mut harness, script) = brittle();
        let other = harness.connect();
        script.panic_in(callback);
        let peer = harness.connect();
        match callback {
            "on_data" => harness.feed(peer, b"ab"),
            "on_eof" => harness.finish(peer),
            "on_writable" => {
                harness.feed(peer, b"b");
                harness.take(peer);
            }
            "on_timer" => {
                harness.feed(peer, b"t");
                harness.advance(WAIT);
            }
            _ => {}
        }
        if callback == "on_drain" {
            // Each of them is told, so each ends for its own reason.
            harness.net().drain();
            harness.advance(Duration::ZERO);
            assert!(harness.is_closed(other));
        }
        harness.take(peer);
        assert!(harness.is_closed(peer), "{callback}");
        let calls = script.calls();
        let reason = format!("panicked: {callback}: as told");
        let times = |text: &str| calls.iter().filter(|call| *call == text).count();
        // Without a session nobody is told of its end.
        let (called, told) = match callback {
            "on_open" => (2, 0), // the other one was opened before
            "on_drain" => (2, 2),
            _ => (1, 1),
        };
        assert_eq!((times(callback), times(&reason)), (called, told), "{calls:?}");
        if callback != "on_drain" {
            script.panic_in("");
            harness.feed(other, b"z");
            assert_eq!(harness.take(other), b"<z", "{callback}");
            assert_eq!(harness.net().stats().panics, 1);
        }
    }
}

#[test]
fn what_was_queued_before_a_panic_is_sent() {
    let (mut harness, script) = brittle();
    let peer = harness.connect();
    script.panic_in("on_data");
    harness.feed(peer, b"a");
    assert_eq!(harness.take(peer), b"<");
    assert!(harness.is_closed(peer));
}

/// Has the turn call a callback that is about no connection.
fn cause(harness: &mut Harness<Brittle>, callback: &str) {
    match callback {
        "on_close" => {
            let peer = harness.connect();
            harness.finish(peer);
        }
        "on_dial_failed" => harness.refuse(1, std::io::ErrorKind::TimedOut),
        "on_alarm" => {
            harness.net().set_alarm(Alarm(1), WAIT);
            harness.advance(WAIT);
        }
        "on_deferred" => {
            harness.net().defer(Deferred(1));
            harness.advance(Duration::ZERO);
        }
        _ => harness.datagram(SocketId(0), &DatagramPeer::Memory(1), b"x"),
    }
}

#[test]
fn a_panic_about_the_process_leaves_undone_what_it_has_not_done() {
    for callback in
        ["on_close", "on_dial_failed", "on_alarm", "on_deferred", "on_datagram", "generation_of"]
    {
        let (mut harness, script) = brittle();
        let other = harness.connect();
        script.panic_in(callback);
        for round in 1..=2 {
            script.calls();
            cause(&mut harness, callback);
            let calls = script.calls();
            let times = |name: &str| calls.iter().filter(|call| *call == name).count();
            assert_eq!(times(callback), 1, "{calls:?}");
            assert_eq!(harness.net().stats().panics, round);
            if callback == "generation_of" {
                assert_eq!(times("on_datagram"), 1, "whose it is nobody knows, so it is had here");
            }
        }
        script.panic_in("");
        harness.feed(other, b"z");
        assert_eq!(harness.take(other), b"<z", "{callback}");
    }
}

/// It happens in the middle of a batch.
#[test]
fn mail_behind_one_that_panics_is_received() {
    let script = Script::default();
    let (mailbox, inbox) = heirloom::mailbox(8);
    let mut harness = Harness::new(Brittle(script.clone())).catch_panics().inbox(inbox);
    script.calls();
    script.panic_in("on_mail");
    for mail in [1, 0, 2, 0, 3] {
        mailbox.try_send(mail).expect("room");
    }
    harness.advance(Duration::ZERO);
    assert_eq!(script.calls(), ["more mail", "on_mail", "more mail", "on_mail", "more mail"]);
    assert_eq!(harness.net().stats().panics, 2);
}

#[test]
fn a_process_that_panics_on_its_way_out_goes_on_with_it() {
    let (mut harness, script) = brittle();
    let peer = harness.connect();
    script.panic_in("on_retire");
    harness.net().drain();
    harness.feed(peer, b"z");
    assert_eq!(harness.take(peer), b"<z");
    harness.finish(peer);
    assert!(harness.has_ended() && script.calls().contains(&"on_retire".to_owned()));
}

#[test]
fn a_restart_in_memory_fails_with_what_was_said() {
    for callback in ["on_move", "save", "export", "load", "import"] {
        let (mut harness, script) = brittle();
        harness.connect();
        script.panic_in(callback);
        let failed = harness.restart(Brittle(script)).expect_err(callback).to_string();
        assert_eq!(failed, format!("panicked: {callback}: as told"));
    }
}

/// By then it serves, and has the connections.
#[test]
fn a_start_in_memory_that_panics_asks_for_a_roll_back() {
    let (mut harness, script) = brittle();
    let peer = harness.connect();
    script.panic_in("on_start");
    let sides = harness.begin_restart(Brittle(script.clone())).expect("it starts");
    assert_eq!(sides.asked_to_roll_back().as_deref(), Some("panicked: on_start: as told"));
    script.panic_in("");
    let (mut old, _) = sides.roll_back("").unwrap();
    old.feed(peer, b"z");
    assert_eq!(old.take(peer), b"<z", "it has moved there and back");
    let next = old.connect();
    old.feed(next, b"z");
    assert_eq!(old.take(next), b"<z");
}

/// Its assertions are meant for the test.
#[test]
#[should_panic(expected = "as told")]
fn a_harness_lets_panics_through_by_itself() {
    let script = Script::default();
    let mut harness = Harness::new(Brittle(script.clone()));
    let peer = harness.connect();
    script.panic_in("on_data");
    harness.feed(peer, b"a");
}

// Over processes.

fn a_panic_costs_one_connection(engine: Engine) {
    let lab = Lab::start();
    let pid = lab.pid();
    let (mut other, mut bad) = (lab.connect(), lab.connect());
    bad.send("echo before\npanic \"out\" of paper\necho after\n");
    assert_eq!(bad.read_to_end().expect("a FIN"), b"before\n");
    bad.finish();
    let line = lab.wait_line("ERROR: close ");
    let reason = "reason=\"panicked: on_data: \\\"out\\\" of paper (examples/lab/requests.rs:";
    assert!(line.contains(reason), "{line}");
    assert_eq!(other.who().pid, pid);
    assert!(other.ask("closes").starts_with("panicked: on_data: "), "the service is told");
    assert_eq!(lab.count_lines("thread 'main'"), 0, "it is said once, and in the log");
    // What it has learned goes on.
    assert_ne!(lab.restart_by(engine), pid);
    assert_eq!(other.who().pid, pid);
}

/// Restarts, and answers why there is no new generation. The old one serves on.
fn refused(lab: &Operated, engine: Engine, moves: bool) -> String {
    let old = lab.pid();
    let mut client = lab.connect();
    client.ask("keep here");
    let flag = format!("--{}", engine.name());
    let args = ["restart", &flag, "--move"];
    let ran = lab.heirloom(if moves { &args } else { &args[..2] });
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!((client.who().pid, newcomer(lab).pid, lab.pid()), (old, old, old));
    assert_eq!(client.ask("kept"), "here");
    ran.err
}

fn a_restart_that_panics_changes_nothing(engine: Engine) {
    let lab = Operated::with(30, |setup| setup);
    let callbacks = match engine {
        Engine::Fork => &["on_move"][..],
        Engine::ForkExec => &["on_move", "save", "export", "load", "import"],
    };
    for callback in callbacks {
        lab.break_programs(&format!("panic in {callback}"));
        let why = refused(&lab, engine, true);
        let said = format!("restart: the new side failed: panicked: {callback}: lab: as told (");
        assert!(why.contains(&said), "{why}");
    }
    lab.mend_programs();
    let flag = format!("--{}", engine.name());
    let mut client = lab.connect();
    client.who();
    assert_eq!(lab.heirloom(&["restart", &flag, "--move"]).status, Some(0));
    assert_eq!(client.who().pid, lab.pid());
}

/// It serves already, and has the connections. None is lost.
fn a_start_that_panics_is_rolled_back(engine: Engine) {
    let lab = Operated::with(2000, |setup| setup);
    let old = lab.pid();
    let mut client = lab.connect();
    client.ask("keep here");
    lab.break_programs("panic in on_start");
    let flag = format!("--{}", engine.name());
    let ran = lab.heirloom(&["restart", &flag, "--move"]);
    let said = "restart: rolled back: panicked: on_start: lab: as told (";
    assert!(ran.status == Some(1) && ran.err.contains(said), "{ran:?}");
    assert_eq!(client.who().pid, old, "it has moved there and back");
    assert_eq!(client.ask("kept"), "here", "nothing of what the new side is comes along");
    assert_eq!(wait_settled(&lab).pid, old);
    drop(client);
    // The old side has panicked as well when it was told that it serves again, and serves.
    lab.wait_line("panicked: on_start: lab: as told (");
    lab.mend_programs();
    assert_ne!(lab.restart_by(engine), old);
}

fn what_only_hears_of_a_restart_may_panic(engine: Engine) {
    for callback in ["on_retire", "on_restart_ended", "on_drain"] {
        let lab = Operated::with(30, |setup| setup);
        let (old, mut client) = (lab.pid(), lab.connect());
        client.who();
        lab.break_programs(&format!("panic in {callback}"));
        let ran = lab.heirloom(&["restart", &format!("--{}", engine.name())]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_ne!(newcomer(&lab).pid, old);
        lab.wait_line(&format!("panicked: {callback}: lab: as told ("));
        match callback {
            "on_drain" => drop(client.read_to_end().expect("a FIN")),
            _ => assert_eq!(client.who().pid, old),
        }
        drop(client);
        wait_gone(old);
    }
}

// A panic that ends the process.

fn propagating(setup: common::Setup) -> common::Setup {
    setup.env("LAB_PANICS", 1)
}

/// What it says on disk about itself goes with it.
#[test]
fn a_process_that_ends_by_a_panic_leaves_nothing_behind() {
    let files = common::Dir::new();
    let socket = files.path("socket");
    let mut lab = Operated::with(30, |setup| {
        propagating(setup).arg("--listen").arg(format!("unix:{}", socket.display()))
    });
    assert!(UnixStream::connect(&socket).is_ok());
    let mut bad = lab.connect();
    bad.send("panic as told\n");
    assert_eq!(lab.wait_exit().code(), Some(101));
    lab.wait_line("ERROR: panicked at=examples/lab/requests.rs:");
    assert!(!lab.dir.path("pid").exists() && !lab.control().exists() && !socket.exists());
    assert_eq!(names(lab.control().parent().expect("a directory")), [""; 0]);
}

/// A new program that has nothing to serve without its old side is the last that could do it.
#[test]
fn a_process_that_ends_by_a_panic_beside_a_new_program_leaves_nothing_behind() {
    for callback in ["save", "on_move"] {
        let files = common::Dir::new();
        let socket = files.path("socket");
        let mut lab = Operated::with(30, |setup| {
            let setup = propagating(setup).env("LAB_MOVE", 1);
            setup.arg("--listen").arg(format!("unix:{}", socket.display()))
        });
        let mut moving = lab.connect();
        moving.ask("threads 1"); // so that no scribe saves, whose panic would be its own
        lab.break_programs(&format!("panic in {callback}"));
        lab.signal(Engine::ForkExec.signal());
        assert_eq!(lab.wait_exit().code(), Some(101));
        lab.wait_line("it ended before it had handed over its state");
        common::wait_for("the paths to be gone", || {
            !lab.dir.path("pid").exists() && !lab.control().exists() && !socket.exists()
        });
    }
}

/// Nobody was served yet, so nothing is lost.
#[test]
fn a_first_generation_that_panics_as_it_starts_ends_and_leaves_nothing() {
    let files = common::Dir::new();
    let (broken, socket, pid) = (files.path("broken"), files.path("socket"), files.path("pid"));
    fs::write(&broken, "panic in on_start").expect("a file");
    let mut command = in_session(common::example("lab"));
    command.arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--pid-file").arg(&pid).env("LAB_BROKEN", &broken);
    let mut server = Server::spawn(command, common::Dir::new());
    assert_eq!(server.wait_exit().code(), Some(1));
    server.wait_line("lab: panicked: on_start: lab: as told (examples/lab/");
    assert!(!socket.exists() && !pid.exists());
}

/// Another generation serves at these paths, or will.
#[test]
fn with_a_supervisor_the_paths_stay_for_the_next_generation() {
    let lab = Operated::with(30, |setup| propagating(setup).arg("--supervised"));
    let (first, supervisor) = (newcomer(&lab), lab.pid());
    let mut bad = lab.connect();
    bad.send("panic as told\n");
    wait_gone(first.pid);
    assert!(lab.control().exists() && lab.pid() == supervisor);
    let next = newcomer(&lab);
    assert!(next.generation > first.generation, "{next:?}");
    assert_eq!(lab.status()[0].pid(), next.pid);
}

/// In a forked child the panic must not run on into frames of the parent's program.
fn a_process_that_ends_by_a_panic_lets_the_old_side_serve(engine: Engine) {
    let lab = Operated::with(2000, propagating);
    let old = lab.pid();
    let mut early = lab.connect();
    early.who();
    lab.break_programs(&format!("panic in on_start {}", engine.start()));
    lab.signal(engine.signal());
    lab.wait_line("panicked at=examples/lab/settings.rs");
    // One that has closed its link in its probation is not waited for.
    let how = if engine == Engine::Fork { "exit status 70" } else { "" };
    lab.wait_line(&format!("the new side ended in its probation: {how}"));
    assert_eq!((early.who().pid, newcomer(&lab).pid, lab.pid()), (old, old, old));
    assert!(lab.control().exists());
    let _: Client = lab.connect();
}

#[test]
fn a_second_signal_ends_a_server_whose_goodbye_panics() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    client.who();
    lab.break_programs("panic in on_close");
    lab.signal(Signal::SIGTERM);
    lab.wait_line("draining: 1 connections are left");
    lab.signal(Signal::SIGTERM);
    let status = lab.wait_exit();
    assert!(status.success() && status.signal().is_none(), "{status}");
    lab.wait_line("panicked: on_close: lab: as told (");
}
