//! The demo keeps its promise, and notices when a server does not keep its own.

#[path = "../examples/demo/journal.rs"]
mod journal;
#[path = "../examples/demo/proof.rs"]
#[allow(dead_code)] // the client's half is in the demo
mod proof;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::common::{self, Dir, example, wait_for};
use journal::Fact;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// A demo at work. It and its server, which is in its process group, end with the test.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Demo {
    fn start(args: &str) -> Demo {
        Demo::start_program(&example("demo"), args)
    }

    fn start_program(program: &Path, args: &str) -> Demo {
        let mut command = Command::new(program);
        command.args(args.split_whitespace()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the demo starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Demo { child, stdout }
    }

    /// The first line of the live view that starts with `mark`. To be asked for once: the reader
    /// takes more than that line.
    fn view(&mut self, mark: &str) -> String {
        let view = BufReader::new(self.child.stderr.as_mut().expect("a pipe"));
        let line = view.lines().map_while(Result::ok).find(|line| line.starts_with(mark));
        line.unwrap_or_else(|| panic!("no line {mark:?} in the live view"))
    }

    /// The pid of the process that serves after so many restarts.
    fn pid_after(&mut self, restart: usize) -> Pid {
        let line = self.view(&format!("restart {restart}/"));
        let pid = line.split("pid ").nth(1).and_then(|rest| rest.split(' ').next());
        Pid::from_raw(pid.and_then(|pid| pid.parse().ok()).expect("a pid in the line"))
    }

    /// Its exit status and all it has still to say on its standard output, then on standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut status = None;
        wait_for("the demo to end", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).expect("text");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
        (status.and_then(|status| status.code()), out, err)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The group is ours: `start` made it. When all went well, nobody is in it any more.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The number under `key`; the first one, where there are several.
fn number(json: &str, key: &str) -> f64 {
    let rest = json.split(&format!("\"{key}\":")).nth(1).unwrap_or_else(|| panic!("{key}: {json}"));
    let end = rest.find([',', '}']).expect("more of the object");
    rest[..end].parse().unwrap_or_else(|_| panic!("no number under {key}: {json}"))
}

const FAILURES: [&str; 10] = [
    "refused",
    "reset",
    "short",
    "wrong",
    "timed_out",
    "not_tried",
    "restarts_not_done",
    "processes_ended_badly",
    "processes_left_over",
    "complaints_of_the_server",
];

#[test]
fn restarts_by_both_engines_fail_nobody() {
    let demo = Demo::start("--restarts 6 --pause 100 --rate 200 --held 30 --patience 15 --json");
    let (status, json, view) = demo.end();
    assert_eq!(status, Some(0), "{json}\n{view}");
    let first = "a server is restarted 6 times by fork and fork-exec, while 200 new clients a second and 30 held connections";
    assert!(view.starts_with(first), "it says what is to come: {view}");
    assert!(json.starts_with("{\"ok\":true,"), "{json}");
    assert_eq!(json.lines().count(), 1, "{json}");
    for failure in FAILURES {
        assert_eq!(number(&json, failure), 0.0, "{failure}: {json}");
    }
    for engine in ["fork", "fork-exec"] {
        let done = format!("{{\"engine\":\"{engine}\",\"begun\":3,\"done\":3,");
        assert!(json.contains(&done), "{engine}: {json}");
        assert_eq!(json.matches(&format!("\"engine\":\"{engine}\",\"requests\"")).count(), 3);
    }
    // Where a process ends before its parent has, it is the parent that learns the status.
    let ends = ["drained, exit status 0", "drained, reaped by its parent"];
    let drained = ends.map(|end| json.matches(&format!("\"ended\":\"{end}\"")).count());
    assert_eq!(drained.iter().sum::<usize>(), 7, "{json}");
    let held =
        json.split("\"held\":").skip(2).map(|rest| rest.split(',').next().unwrap_or_default());
    let held: u64 = held.map(|count| count.parse::<u64>().expect("a number")).sum();
    assert!(held > 30, "held connections come again: {json}");
    assert!(number(&json, "requests") > 200.0, "{json}");
}

/// The old process serves again each time: only who was at the one that was killed sees it, which with connections that move
/// is who is held.
#[test]
fn processes_killed_in_their_probation_fail_nobody_else() {
    for moves in ["", "--move"] {
        let args = "--faults --restarts 4 --pause 100 --rate 200 --held 30 --patience 15 --json";
        let (status, json, view) = Demo::start(&format!("{args} {moves}")).end();
        assert_eq!(status, Some(0), "{json}\n{view}");
        for failure in FAILURES {
            assert_eq!(number(&json, failure), 0.0, "{failure}: {json}");
        }
        assert_eq!(number(&json, "killed"), 4.0, "{json}");
        let killed = "\"ended\":\"killed by the demo in its probation\"";
        assert_eq!(json.matches(killed).count(), 4, "{json}");
        assert_eq!(view.matches("\nfault ").count(), 4, "{view}");
        for engine in ["fork", "fork-exec"] {
            let done = format!("{{\"engine\":\"{engine}\",\"begun\":2,\"done\":2,");
            assert!(json.contains(&done), "{engine}: {json}");
        }
    }
}

/// Held connections go along, and each answer comes from the process that has them.
#[test]
fn restarts_that_move_connections_fail_nobody() {
    let demo =
        Demo::start("--move --restarts 6 --pause 100 --rate 200 --held 30 --patience 15 --json");
    let (status, json, view) = demo.end();
    assert_eq!(status, Some(0), "{json}\n{view}");
    for failure in FAILURES {
        assert_eq!(number(&json, failure), 0.0, "{failure}: {json}");
    }
    let held = json.split("\"held\":").skip(2);
    let held: Vec<_> = held.map(|rest| rest.split(',').next().unwrap_or_default()).collect();
    assert_eq!(held.len(), 7, "{json}");
    // The first restart may come before all of them have connected.
    let all_held = |count: &&str| count.parse::<u32>().is_ok_and(|count| count >= 30);
    assert!(held[1..].iter().all(all_held), "{json}");
    assert_eq!(view.matches("in which nobody served").count(), 6, "{view}");
}

/// By TLS nobody is cut off either, wherever the connections go; and who comes again resumes what another process has
/// begun with it.
#[cfg(feature = "tls")]
#[test]
fn by_tls_restarts_fail_nobody_and_sessions_are_resumed() {
    for moves in ["", "--move", "--move --faults"] {
        let args = "--tls --restarts 4 --pause 100 --rate 100 --held 20 --patience 15 --json";
        let (status, json, view) = Demo::start(&format!("{args} {moves}")).end();
        assert_eq!(status, Some(0), "{json}\n{view}");
        for failure in FAILURES {
            assert_eq!(number(&json, failure), 0.0, "{failure}: {json}");
        }
        for engine in ["fork", "fork-exec"] {
            let done = format!("{{\"engine\":\"{engine}\",\"begun\":2,\"done\":2,");
            assert!(json.contains(&done), "{engine}: {json}");
        }
        let (whole, resumed) = (number(&json, "whole"), number(&json, "resumed"));
        assert!(whole > 0.0 && resumed > 2.0 * whole, "{json}");
    }
}

/// Everything that `demo --state` does, with fewer keys.
const STATE: &str = "--state --keys 20000 --rounds 1";

#[test]
fn keys_are_kept_by_upgrades_roll_backs_and_reloads() {
    let (status, text, errors) = Demo::start(STATE).end();
    assert_eq!(status, Some(0), "{text}\n{errors}");
    for words in ["upgrade 1/1 by fork-exec: ready after", "reload 1/1 by fork: ready after"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(text.lines().last().expect("a line").contains("every byte is right"), "{text}");
}

/// Somebody else writes one of a million: of the same length, so that nothing but its bytes tells.
#[test]
fn one_key_that_is_not_as_it_was_written_fails_the_demo() {
    let mut demo = Demo::start(STATE);
    let mut line = String::new();
    demo.stdout.read_line(&mut line).expect("a line");
    let address = line.trim_end().rsplit(' ').next().expect("an address").to_owned();
    line.clear();
    demo.stdout.read_line(&mut line).expect("a line");
    assert!(line.contains("keys are there"), "{line}");
    let mut stranger = common::Client::connect(&address);
    stranger.send(format!("SET k000012345 {} GET\n", "x".repeat(100)));
    assert_eq!(stranger.line(), "$100");
    let (status, text, errors) = demo.end();
    assert_eq!(status, Some(1), "{text}\n{errors}");
    assert!(text.lines().last().expect("a line").starts_with("FAILED: "), "{text}");
}

#[test]
fn output_that_is_no_terminal_is_plain() {
    let (status, text, errors) =
        Demo::start("--restarts 1 --engine fork --pause 50 --rate 100 --held 5 --patience 15")
            .end();
    assert_eq!(status, Some(0), "{text}\n{errors}");
    assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    assert!(text.contains("\nrestart 1/1 fork: pid "), "{text}");
    assert!(text.contains("no failure"), "{text}");
    assert!(text.contains("failures: 0 refused, 0 reset, 0 short, 0 wrong, 0 timed out"), "{text}");
    assert_eq!(errors, "");
}

#[test]
fn a_wrong_option_is_named_and_starts_nothing() {
    let wrong = [
        ("--spoon", "--spoon"),
        ("--engine spoon", "--engine"),
        ("--rate 0", "--rate"),
        ("--restarts many", "--restarts"),
        ("--held", "--held"),
        ("spoon", "spoon"),
        ("--tls --state", "--tls"),
    ];
    for (args, named) in wrong {
        let (status, text, errors) = Demo::start(args).end();
        assert_eq!((status, text.as_str()), (Some(2), ""), "{args}");
        assert_eq!(errors.lines().count(), 1, "{args}: {errors}");
        assert!(errors.contains(named), "{args}: {errors}");
    }
}

#[test]
fn a_server_that_is_killed_is_missed() {
    let mut demo = Demo::start("--restarts 50 --pause 300 --rate 200 --held 30 --json");
    kill(demo.pid_after(2), Signal::SIGKILL).expect("it serves");
    let (status, json, _) = demo.end();
    assert_eq!(status, Some(1), "{json}");
    assert!(json.starts_with("{\"ok\":false,"), "{json}");
    let kinds = ["refused", "reset", "short"].map(|kind| number(&json, kind));
    assert!(kinds.iter().sum::<f64>() >= 1.0, "{json}");
    assert!(number(&json, "restarts_not_done") >= 1.0, "{json}");
    assert_eq!(number(&json, "processes_ended_badly"), 1.0, "{json}");
    assert_eq!(number(&json, "processes_left_over"), 0.0, "{json}");
    assert!(json.contains("the server is gone: generation 2"), "{json}");
}

#[test]
fn restarts_that_fail_are_counted_and_the_clients_notice_nothing() {
    let dir = Dir::new();
    let program = dir.path("demo");
    // Not by ourselves: a process that another test starts in that moment would have the copy open
    // for writing, and then it cannot be run.
    let copied = Command::new("cp").arg(example("demo")).arg(&program).status();
    assert!(copied.expect("cp").success());
    let args = "--restarts 4 --pause 300 --rate 200 --held 30 --patience 15 --json";
    let mut demo = Demo::start_program(&program, args);
    demo.view("the server listens on ");
    fs::remove_file(&program).expect("it was there"); // so a fork-exec finds no program
    let (status, json, _) = demo.end();
    assert_eq!(status, Some(1), "{json}");
    assert!(json.contains("{\"engine\":\"fork\",\"begun\":2,\"done\":2,"), "{json}");
    assert!(json.contains("{\"engine\":\"fork-exec\",\"begun\":2,\"done\":0,"), "{json}");
    for failure in FAILURES {
        let expected = match failure {
            "restarts_not_done" | "complaints_of_the_server" => 2.0,
            _ => 0.0,
        };
        assert_eq!(number(&json, failure), expected, "{failure}: {json}");
    }
    assert!(json.contains("cannot start"), "{json}");
}

#[test]
fn a_server_that_hangs_is_waited_for_and_then_killed() {
    let mut demo =
        Demo::start("--restarts 50 --pause 300 --rate 200 --held 30 --patience 5 --json");
    let pid = demo.pid_after(1);
    kill(pid, Signal::SIGSTOP).expect("it serves");
    let (status, json, _) = demo.end();
    assert_eq!(status, Some(1), "{json}");
    assert!(number(&json, "timed_out") >= 1.0, "{json}");
    assert_eq!(number(&json, "processes_left_over"), 1.0, "{json}");
    assert!(json.contains("left over, killed by the demo"), "{json}");
    assert!(kill(pid, None).is_err(), "it is still there");
}

#[test]
fn the_proof_notices_every_byte() {
    for nonce in [1, 63, 1 << 32] {
        let mut line = Vec::new();
        proof::write_answer(&mut line, "3 4711 fork", nonce, proof::length(nonce));
        assert_eq!(line.pop(), Some(b'\n'));
        let answer = proof::check_answer(&line, nonce).expect("it is right");
        assert_eq!((answer.generation, answer.pid, answer.engine.as_str()), (3, 4711, "fork"));
        let head = "3 4711 fork ".len();
        for at in (head..line.len()).step_by(1 + line.len() / 500) {
            let mut changed = line.clone();
            changed[at] ^= 1;
            proof::check_answer(&changed, nonce).expect_err("a byte is changed");
            changed.remove(at);
            proof::check_answer(&changed, nonce).expect_err("a byte is missing");
            changed.splice(at..at, [line[at]; 2]);
            proof::check_answer(&changed, nonce).expect_err("a byte came twice");
        }
        proof::check_answer(&line, nonce + 1).expect_err("somebody else's answer");
    }
}

#[test]
fn the_log_is_understood() {
    let ready = "[7] INFO: ready: generation 3 (fork-exec), pid 7, listening on 127.0.0.1:4000";
    let (engine, address) = ("fork-exec".to_owned(), "127.0.0.1:4000".to_owned());
    assert_eq!(journal::parse(ready), Fact::Ready { generation: 3, pid: 7, engine, address });
    let done = "[6] INFO: restart: done in 1.2ms: generation 3 is pid 7";
    assert_eq!(journal::parse(done), Fact::Done { pid: 7 });
    let drained = "[6] INFO: drained: generation 2 ends";
    assert_eq!(journal::parse(drained), Fact::Drained { pid: 6 });
    let failed = "[6] ERROR: restart: the new side failed: no bread";
    let why = "restart: the new side failed: no bread".to_owned();
    assert_eq!(journal::parse(failed), Fact::Failed(why));
    for trouble in
        ["[6] WARN: accept: too many", "thread 'main' panicked", "[6] INFO: close 1#2 peer"]
    {
        assert_eq!(journal::parse(trouble), Fact::Trouble(trouble.to_owned()));
    }
    assert_eq!(journal::parse("[6] INFO: SIGHUP: heard"), Fact::Other);
}
