//! `heirloom trial` says what clients notice of a restart: nothing, of our servers; and each thing as what it is, of
//! one that does it deliberately.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};

use crate::common::{
    Dir, Server, example, fill_queue,
    ops::Ran,
    ports::DeadPort,
    restart::Engine,
    rude::{self, Deed, Manners, Rude},
    run_to_end, wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

for_both_engines!(
    nobody_notices_a_restart_of_echo,
    nobody_notices_a_restart_of_http,
    nobody_notices_a_restart_of_kv,
);

/// All that is counted, in the report's order.
const NOTICES: [&str; 10] = [
    "refused",
    "unconnected",
    "reset",
    "cut",
    "closed",
    "retried",
    "wrong",
    "late",
    "unanswered",
    "untried",
];

fn trial(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    command.arg("trial").args(args).env("RUST_LOG", "warn");
    command
}

fn run(args: &[&str]) -> Ran {
    Ran::of(run_to_end(&mut trial(args)))
}

/// Its report as JSON, and its exit status.
fn report(args: &[&str]) -> (Option<i32>, Value) {
    let ran = run(&[args, &["--format", "json"]].concat());
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran.status, report)
}

/// The counts of one sort of client that are not zero.
fn noticed<'a>(report: &'a Value, sort: &str) -> Vec<(&'a str, u64)> {
    let counts = &client(report, sort)["noticed"];
    let count = |name: &'a str| (name, counts[name].as_u64().expect("a count"));
    NOTICES.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

fn client<'a>(report: &'a Value, sort: &str) -> &'a Value {
    let clients = report["clients"].as_array().expect("a list");
    clients.iter().find(|client| client["name"] == sort).expect("such clients")
}

// Nobody notices.

/// By the operator's command, which waits until a restart has committed: the next one would be refused before.
fn assert_unnoticed(engine: Engine, example: &str, dialogue: &[&str]) {
    let dir = Dir::new();
    let control = dir.path("control").display().to_string();
    let server = Server::of(example).arg("--move").arg("--control").arg(&control).start();
    let pid_file = server.dir.path("pid").display().to_string();
    let (address, patience) = (server.address.clone(), ["--late", "20", "--timeout", "40"]);
    let program = env!("CARGO_BIN_EXE_heirloom");
    let restart = format!("{program} --control {control} restart --{} --move", engine.name());
    let how = ["--address", &address, "--restart", &restart, "--pid-file", &pid_file];
    let load =
        ["--restarts", "3", "--pause", "0.2", "--new", "100", "--held", "10", "--pipelined", "3"];
    let (status, report) = report(&[dialogue, &how, &load, &patience].concat());
    assert_eq!(status, Some(0), "{report:#}");
    assert_eq!(
        (&report["ok"], &report["done"], &report["noticed"]),
        (&true.into(), &3.into(), &0.into())
    );
    for sort in ["new", "held", "pipelined"] {
        assert_eq!(noticed(&report, sort), [], "{report:#}");
        assert!(client(&report, sort)["answers"].as_u64() > Some(3), "{report:#}");
    }
    for (sort, clients) in [("held", 10), ("pipelined", 3)] {
        assert_eq!(client(&report, sort)["connects"], clients, "{report:#}");
    }
    let each = report["each"].as_array().expect("a list");
    assert!(each.len() == 3 && each.iter().all(|it| it["ms"].as_f64() > Some(0.0)), "{each:?}");
}

fn nobody_notices_a_restart_of_echo(engine: Engine) {
    assert_unnoticed(engine, "echo", &["--send", r"hello\x21", "--expect", "hello!"]);
}

fn nobody_notices_a_restart_of_http(engine: Engine) {
    assert_unnoticed(engine, "http", &["--protocol", "http", "--expect-prefix", "hello"]);
}

fn nobody_notices_a_restart_of_kv(engine: Engine) {
    assert_unnoticed(engine, "kv", &["--protocol", "redis", "--expect", r"+PONG\r\n"]);
}

/// By the answer to a question, since a supervisor's pid stays.
#[test]
fn somebody_else_who_serves_is_the_end_of_a_restart() {
    let server = Server::of("http").arg("--supervised").start();
    let pid_file = server.dir.path("pid").display().to_string();
    let how = ["--signal", "hup", "--pid-file", &pid_file, "--who", "/generation", "--may-close"];
    let what =
        ["--address", &server.address, "--protocol", "http", "--late", "20", "--timeout", "40"];
    let (status, report) = report(&[&how[..], &what, &["--restarts", "1"]].concat());
    assert_eq!((status, &report["done"]), (Some(0), &1.into()), "{report:#}");
}

#[test]
fn clients_may_come_by_a_unix_socket_too() {
    let dir = Dir::new();
    for address in
        [format!("unix:{}", dir.path("s").display()), format!("unix:@{}", dir.path("a").display())]
    {
        let server = Server::of("echo").listen(&address).start();
        let pid_file = server.dir.path("pid").display().to_string();
        let how = ["--address", &address, "--signal", "USR2", "--pid-file", &pid_file];
        let what =
            ["--send", "x", "--expect", "x", "--restarts", "1", "--late", "20", "--timeout", "40"];
        let (status, report) = report(&[&how[..], &what, &["--may-close"]].concat());
        assert_eq!((status, &report["done"]), (Some(0), &1.into()), "{report:#}");
    }
}

// Each thing is counted as what it is.

/// The report of a trial by one held client that asks often, of a "restart" that takes a while and does nothing.
fn held(address: &str, more: &[&str]) -> (Option<i32>, Value) {
    let what = ["--address", address, "--protocol", "line", "--expect", "pong"];
    let load = ["--new", "0", "--held", "1", "--pipelined", "0", "--rate", "50", "--late", "20"];
    let how = ["--restart", "true", "--until", "0.3", "--restarts", "1", "--pause", "0.3"];
    report(&[&what[..], &load, &how, more].concat())
}

/// The first request is the question whether it serves at all.
fn assert_noticed(manners: Manners, more: &[&str], expected: &str) -> Value {
    assert_all_noticed(manners, more, (expected, 1))
}

fn assert_all_noticed(manners: Manners, more: &[&str], expected: (&str, u64)) -> Value {
    let server = Rude::start(manners);
    let (status, report) = held(&server.address, more);
    assert_eq!(noticed(&report, "held"), [expected], "{report:#}");
    let (expected, count) = expected;
    assert_eq!(
        (status, &report["noticed"], &report["ok"]),
        (Some(1), &count.into(), &false.into())
    );
    let story = report["stories"][0]["what"].as_str().expect("a story");
    assert!(story.starts_with(expected), "{report:#}");
    report
}

/// Behind the answer to the first request of the held client.
fn closing(number: usize) -> Deed {
    if number == 1 { Deed::Close } else { Deed::Answer }
}

fn at_fourth(number: usize, deed: Deed) -> Deed {
    if number == 3 { deed } else { Deed::Answer }
}

#[test]
fn a_reset_is_a_reset_and_the_client_comes_again() {
    let report = assert_noticed(|number| at_fourth(number, Deed::Reset), &[], "reset");
    assert_eq!(client(&report, "held")["connects"], 2);
}

#[test]
fn an_end_before_that_of_the_answer_is_a_cut() {
    assert_noticed(|number| at_fourth(number, Deed::Cut(0)), &[], "cut");
    assert_noticed(|number| at_fourth(number, Deed::Cut(3)), &[], "cut");
}

#[test]
fn an_end_between_two_requests_is_counted_by_itself_and_may_be_allowed() {
    // Nothing else is due for a while, that could cross with it.
    let (manners, rarely) = (closing as Manners, ["--rate", "1", "--pause", "1"]);
    assert_noticed(manners, &rarely, "closed");
    let server = Rude::start(manners);
    let (status, report) = held(&server.address, &[&rarely[..], &["--may-close"]].concat());
    assert_eq!(noticed(&report, "held"), [("closed", 1)]);
    assert_eq!((status, &report["noticed"], &report["ok"]), (Some(0), &0.into(), &true.into()));
    assert_eq!(client(&report, "held")["connects"], 2);
}

/// Where connections may be closed, what was not answered by a byte on a used one is asked again, once.
#[test]
fn what_may_have_crossed_with_the_end_is_asked_again_where_connections_may_be_closed() {
    let server = Rude::start(|number| at_fourth(number, Deed::Cut(0)));
    let (status, report) = held(&server.address, &["--may-close"]);
    assert_eq!(noticed(&report, "held"), [("retried", 1)], "{report:#}");
    assert_eq!((status, &report["noticed"]), (Some(0), &0.into()));
    let server = Rude::start(|number| if number > 2 { Deed::Cut(0) } else { Deed::Answer });
    let (status, report) = held(&server.address, &["--may-close"]);
    assert!(matches!(noticed(&report, "held")[..], [("cut", 2..), ("retried", 1)]), "{report:#}");
    assert_eq!(status, Some(1));
}

#[test]
fn another_answer_and_one_too_many_are_wrong() {
    assert_noticed(|number| at_fourth(number, Deed::Lie), &[], "wrong");
    assert_noticed(|number| at_fourth(number, Deed::Babble), &[], "wrong");
}

#[test]
fn an_answer_that_takes_too_long_is_late_and_one_that_never_comes_is_none() {
    let slow = |number| at_fourth(number, Deed::Delay(Duration::from_millis(2500)));
    // It, and the one that was due meanwhile and was asked when it had come.
    let report = assert_all_noticed(slow, &["--late", "2", "--timeout", "30"], ("late", 2));
    let gap = report["nobody_served"]["restarts"]["ms"].as_f64().expect("a time");
    assert!((2450.0..10_000.0).contains(&gap), "{report:#}");
    let silent = |number| at_fourth(number, Deed::Silence);
    assert_noticed(silent, &["--timeout", "3"], "unanswered");
}

/// Whoever connects when the server has gone; it comes again after a while.
#[test]
fn nobody_who_listens_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let server = Rude::at(address.to_string(), closing);
    // The question and the held client.
    let first = server.serve(listener, 2);
    let later = std::thread::spawn(move || {
        drop(first.join().expect("no panic"));
        wait_for("the port to be left", || TcpStream::connect(address).is_err());
    });
    let (status, report) = held(&server.address, &["--rate", "2", "--pause", "1"]);
    later.join().expect("no panic");
    let noticed = noticed(&report, "held");
    assert!(matches!(noticed[..], [("refused", 1..), ("closed", 1)]), "{report:#}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_unix_socket_that_is_gone_is_refused() {
    let dir = Dir::new();
    rude::one_visit(dir.path("s"));
    let (status, report) = held(&format!("unix:{}", dir.path("s").display()), &[]);
    assert!(matches!(noticed(&report, "held")[..], [("refused", 10..)]), "{report:#}");
    assert_eq!((status, &report["answers"]), (Some(1), &0.into()));
    let gap = &report["nobody_served"]["restarts"];
    assert!(gap["ms"].as_f64() > Some(800.0), "the whole run is a gap: {report:#}");
}

/// Its queue is full, so the kernel lets new clients wait.
#[test]
fn who_cannot_connect_in_time_is_unconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = Rude::at(listener.local_addr().expect("its address").to_string(), |_| Deed::Close);
    let first = server.serve(listener, 1);
    let full = std::thread::spawn(move || {
        let listener = first.join().expect("no panic");
        (fill_queue(&listener), listener)
    });
    let (status, report) = held(&server.address, &["--pause", "2", "--timeout", "2"]);
    drop(full.join().expect("no panic"));
    let noticed = noticed(&report, "held");
    assert!(noticed.iter().any(|(name, _)| *name == "unconnected"), "{report:#}");
    assert_eq!(status, Some(1));
}

/// Requests are counted: those of a batch that were answered are, and the others are cut.
#[test]
fn what_was_on_its_way_in_a_batch_counts_each() {
    let server = Rude::start(|number| if number == 7 { Deed::Cut(0) } else { Deed::Answer });
    let load = ["--held", "0", "--pipelined", "1", "--depth", "4", "--rate", "10"];
    let (status, report) = held(&server.address, &load);
    // The first is the question; then 1 to 4; of 5 to 8 two are answered.
    assert_eq!(noticed(&report, "pipelined"), [("cut", 2)], "{report:#}");
    assert_eq!((status, &client(&report, "pipelined")["connects"]), (Some(1), &2.into()));
}

/// What the server has done and what the report says are the same numbers.
#[test]
fn of_new_clients_each_deed_is_counted_as_often_as_it_was_done() {
    let server = Rude::start(|number| match number % 8 {
        1 => Deed::Reset,
        3 => Deed::Cut(2),
        5 => Deed::Lie,
        _ => Deed::Answer,
    });
    let (status, report) = held(&server.address, &["--held", "0", "--new", "100"]);
    let [reset, cut, lie] = [Deed::Reset, Deed::Cut(2), Deed::Lie].map(|deed| server.count(deed));
    assert!(reset > 5, "{report:#}");
    assert_eq!(noticed(&report, "new"), [("reset", reset), ("cut", cut), ("wrong", lie)]);
    let answers = server.count(Deed::Answer) - 1; // the question
    assert_eq!(client(&report, "new")["answers"], answers);
    assert_eq!((status, &report["noticed"]), (Some(1), &(reset + cut + lie).into()));
}

// The server is the trial's own.

/// Ended and started again: whoever comes in between is refused.
#[test]
fn a_server_that_is_started_again_is_noticed_and_ends_with_the_trial() {
    let address = free_address();
    let line = format!("{} --listen {address}", example("echo").display());
    let how = [
        "--address",
        &address,
        "--server",
        &line,
        "--again",
        "--signal",
        "KILL",
        "--restarts",
        "2",
        "--pause",
        "0.2",
    ];
    let load = ["--send", "x", "--expect", "x", "--new", "500", "--late", "20", "--timeout", "40"];
    let (status, report) = report(&[&how[..], &load].concat());
    assert_eq!((status, &report["done"]), (Some(1), &2.into()), "{report:#}");
    let held = noticed(&report, "held");
    assert!(held.iter().any(|(name, _)| ["closed", "reset", "cut"].contains(name)), "{report:#}");
    assert!(TcpStream::connect(&address).is_err(), "it has outlived its trial");
}

/// All generations are, those that were forked and have lost their parents, too.
#[test]
fn a_trial_that_is_told_to_end_ends_its_server_and_says_what_it_knows() {
    let (address, dir) = (free_address(), Dir::new());
    let pid_file = dir.path("pid").display().to_string();
    let echo = example("echo");
    let line =
        format!("{} --listen {address} --pid-file {pid_file} --probation 0.05", echo.display());
    let how =
        ["--address", &address, "--server", &line, "--signal", "HUP", "--pid-file", &pid_file];
    let mut command =
        trial(&[&how[..], &["--send", "x", "--expect", "x", "--restarts", "1000"]].concat());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = || std::fs::read_to_string(&pid_file).unwrap_or_default();
    wait_for("the first generation", || !pid().is_empty());
    let first = pid();
    wait_for("another generation", || !pid().is_empty() && pid() != first);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("our child");
    wait_for("the trial to end", || child.try_wait().expect("our child").is_some());
    let ran = Ran::of(child.wait_with_output().expect("what it said"));
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.err.ends_with("heirloom: trial: interrupted\n"), "{ran:?}");
    assert!(ran.out.contains("of 1000 restarts (SIGHUP)"), "{ran:?}");
    assert!(TcpStream::connect(&address).is_err(), "it has outlived its trial");
}

// What cannot be done.

#[test]
fn a_restart_of_which_nothing_is_seen_fails_the_trial() {
    let server = Server::of("echo").start();
    let pid_file = server.dir.path("pid").display().to_string();
    let what =
        ["--address", &server.address, "--send", "x", "--expect", "x", "--pid-file", &pid_file];
    for (how, why) in [
        (
            &["--signal", "CONT", "--patience", "0.5"][..],
            format!("{pid_file} names no other process after 500ms"),
        ),
        (&["--restart", "exit 3"], "the command has failed: exit status: 3".to_owned()),
        (
            &["--restart", "sleep 60", "--patience", "0.5"],
            "the command has not ended after 500ms".to_owned(),
        ),
        (&["--restart", "true", "--until", "worker"], "the server has no workers".to_owned()),
    ] {
        let ran = run(&[&what[..], how, &["--pause", "0.1"]].concat());
        assert_eq!(ran.status, Some(2), "{ran:?}");
        assert_eq!(ran.err, format!("heirloom: trial: restart 1: {why}\n"));
        assert!(ran.out.contains(": 0 of 10 restarts"), "{ran:?}");
    }
    assert_eq!(server.pid(), server.child.id() as i32);
}

#[test]
fn a_server_that_does_not_serve_is_not_tried() {
    let dead = DeadPort::new();
    let address = dead.address.to_string();
    let how = ["--address", &address, "--restart", "true", "--until", "1"];
    let ran = run(&[&how[..], &["--protocol", "line"]].concat());
    assert_eq!(ran.status, Some(2), "{ran:?}");
    let refused = "connect: Connection refused (os error 111)";
    assert_eq!(ran.err, format!("heirloom: trial: ask {address}: {refused}\n"));
    let rude = Rude::start(|_| Deed::Lie);
    let how = ["--address", &rude.address, "--restart", "true", "--until", "1"];
    let ran = run(&[&how[..], &["--protocol", "line", "--expect", "pong"]].concat());
    assert!(ran.err.ends_with(": byte 1 of the answer is wrong\n"), "{ran:?}");
    assert_eq!((ran.status, &*ran.out), (Some(2), ""));
    let how = ["--address", &address, "--server", "false", "--again", "--protocol", "line"];
    let ran = run(&how);
    assert!(ran.err.ends_with("the server has ended: exit status: 1\n"), "{ran:?}");
}

#[test]
fn what_makes_no_sense_is_one_line_and_exit_status_2() {
    let a = ["--address", "127.0.0.1:1"];
    let line = ["--address", "127.0.0.1:1", "--protocol", "line"];
    for (base, more, why) in [
        (&[][..], &[][..], "which server? Say --address HOST:PORT or unix:PATH"),
        (&[], &["--address", "nowhere"], "--address: \"nowhere\": invalid socket address"),
        (&[], &["--address", "unix:"], "--address: unix: is followed by no path"),
        (&a, &[], "what is asked? Say --send TEXT, or --protocol NAME"),
        (&a, &["--send", "x"], "where does an answer end? Say --expect TEXT, or --protocol NAME"),
        (&a, &["--send", "x", "--expect", ""], "--expect: an answer of no bytes is none"),
        (&a, &["--send", r"\q"], r"--send: \q stands for nothing"),
        (&a, &["--protocol", "smtp"], "--protocol: \"smtp\" is none of raw, line, http, redis"),
        (
            &line,
            &["--expect", "a", "--expect-prefix", "b"],
            "--expect and --expect-prefix exclude each other",
        ),
        (&line, &[], "how is it restarted? Say --signal, --restart or --again"),
        (&line, &["--signal", "HUP"], "--signal: to which process? Say --pid-file or --server"),
        (&line, &["--signal", "NONE"], "--signal: \"NONE\" is no signal"),
        (&line, &["--again"], "--again goes with --server"),
        (
            &line,
            &["--restart", "x", "--signal", "HUP"],
            "--restart goes with neither --signal nor --again",
        ),
        (&line, &["--restart", "x"], "when is a restart over? Say --until"),
        (
            &line,
            &["--restart", "x", "--until", "soon"],
            "--until: \"soon\" is none of pid, worker, who, SECONDS",
        ),
        (&line, &["--restart", "x", "--until", "pid"], "--until pid goes with --pid-file"),
        (&line, &["--restart", "x", "--until", "who"], "--until who goes with --who TEXT"),
        (
            &line,
            &["--restart", "x", "--until", "worker"],
            "--until worker goes with --pid-file or --server",
        ),
        (&line, &["--restart", "x", "--until", "1", "--who", "x"], "--who goes with --until who"),
        (
            &line,
            &["--new", "0", "--held", "0", "--pipelined", "0"],
            "no client is to ask: say --new, --held or --pipelined",
        ),
        (&line, &["--held", "many"], "--held: \"many\" is no number"),
        (&line, &["--held", "1000000"], "--held: 1000000 are too many: 20000 at most"),
        (
            &line,
            &["--held", "20000", "--rate", "100"],
            "2008200 requests a second are too many: 200000 at most",
        ),
        (&line, &["--depth", "0"], "--depth: a batch of no requests is none"),
        (&line, &["--rate", "1e-9"], "--rate: 0.000000001 is less than 0.001"),
        (&line, &["--pause", "-1"], "--pause: -1 is not between 0 and 3600"),
        (
            &line,
            &["--restart", "x", "--until", "1", "--format", "pdf"],
            "--format: \"pdf\" is none of table, json, svg",
        ),
        (&line, &["--nonsense"], "invalid option '--nonsense'"),
        (&line, &["word"], "unexpected argument \"word\""),
    ] {
        let ran = run(&[base, more].concat());
        assert_eq!((ran.status, &*ran.out), (Some(2), ""), "{more:?}: {ran:?}");
        let line =
            ran.err.strip_prefix("heirloom: trial: ").and_then(|rest| rest.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("{more:?}: {ran:?}"));
        assert!(line.starts_with(why) && !line.contains('\n'), "{more:?}: {line:?} is not {why:?}");
    }
}

// What it prints.

#[test]
fn the_picture_is_well_formed_and_the_table_comes_along() {
    let (server, dir) = (Rude::start(|number| at_fourth(number, Deed::Cut(1))), Dir::new());
    let file = dir.path("<a & b>.svg").display().to_string();
    let how =
        ["--restart", "true # <a & b>", "--until", "0.1", "--restarts", "2", "--pause", "0.2"];
    let what =
        ["--address", &server.address, "--protocol", "line", "--format", "svg", "--output", &file];
    let ran = run(&[&how[..], &what].concat());
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.out.contains("2 of 2 restarts (true # <a & b>)"), "{ran:?}");
    assert!(ran.out.lines().any(|line| line.starts_with("pipelined, 10 x 8 ")), "{ran:?}");
    let svg = std::fs::read_to_string(&file).expect("a picture");
    assert_eq!(elements(&svg, "svg"), 1);
    assert!(
        elements(&svg, "rect") > 10
            && elements(&svg, "text") > 10
            && svg.contains("&lt;a &amp; b>")
    );
    std::fs::set_permissions(dir.path(""), PermissionsExt::from_mode(0o755)).expect("a mode");
    let nowhere = dir.path("no/such").display().to_string();
    let ran = run(&[&how[..], &what[..6], &["--output", &nowhere]].concat());
    assert!(ran.err.starts_with(&format!("heirloom: trial: write {nowhere}: ")), "{ran:?}");
    assert_eq!(ran.status, Some(2));
}

/// How many elements of that name there are. Fails where a tag, an attribute or a text is none of XML.
fn elements(xml: &str, name: &str) -> usize {
    let (mut open, mut count, mut rest) = (Vec::new(), 0, xml);
    while let Some((text, after)) = rest.split_once('<') {
        assert!(
            text.split('&').skip(1).all(|it| it.starts_with("amp;") || it.starts_with("lt;")),
            "{text}"
        );
        assert!(!open.is_empty() || text.trim().is_empty(), "text outside: {text}");
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (word, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        assert!(!word.is_empty() && word.chars().all(char::is_alphanumeric), "{tag}");
        count += usize::from(word == name);
        if !is_empty {
            open.push(word);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
    count
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}
