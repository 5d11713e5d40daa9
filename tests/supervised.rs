//! A server with a supervisor in front: one pid through all restarts, and a crash that refuses nobody.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{
    Client, Dir, Server, Setup, example, in_session,
    ops::Control,
    restart::{resume, wait_stopped},
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A lab with a supervisor, and a probation that is over soon.
fn supervised() -> Setup {
    Server::of("lab").arg("--supervised").env("LAB_PROBATION", 50).env("LAB_EXIT", 7)
}

/// Generation and pid of whoever serves a client.
fn who(client: &mut Client) -> (u64, i32) {
    let answer = client.ask("who");
    let mut words = answer.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i32>().ok()).expect("a number");
    (number() as u64, number())
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

/// One request on the control socket, and the lines of its reply.
fn control(path: &Path, request: &str) -> String {
    Control::connect(path).expect("the control socket accepts").ask(request).join("\n")
}

/// The processes whose parent is `parent`, each with its state.
fn children(parent: i32) -> Vec<(i32, char)> {
    let stats = fs::read_dir("/proc").expect("proc").flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let child = |stat: String| {
        let (pid, rest) = (stat.split(' ').next()?.parse().ok()?, stat.rsplit_once(") ")?.1);
        let mut words = rest.split(' ');
        let state = words.next()?.chars().next()?;
        (words.next()?.parse() == Ok(parent)).then_some((pid, state))
    };
    stats.filter_map(child).collect()
}

#[test]
fn the_pid_is_the_same_through_restarts_by_signal_request_and_callback() {
    let dir = Dir::new();
    let path = dir.path("control");
    let server = supervised().arg("--control").arg(path.to_str().expect("utf-8")).start();
    let pid = server.child.id() as i32;
    assert_eq!(server.pid(), pid, "the pid file holds the supervisor's");
    let mut last = who(&mut server.connect());
    assert_ne!(last.1, pid, "the supervisor serves nobody");
    for generation in 1..=5 {
        match generation {
            4 => assert!(server.connect().ask("restart fork").starts_with("ok 4")),
            5 => {
                assert!(control(&path, "restart fork-exec").starts_with("ok: generation 5 is pid"))
            }
            odd if odd % 2 == 1 => drop(server.restart(Signal::SIGHUP)),
            _ => drop(server.restart(Signal::SIGUSR2)),
        }
        wait_gone(last.1);
        last = who(&mut server.connect());
        assert_eq!(last.0, generation);
        assert_eq!(server.pid(), pid);
    }
    let status = control(&path, "status");
    assert!(
        status.starts_with(&format!("ok: 1 generation, supervised by pid {pid}\n")),
        "{status}"
    );
    let taken_for_one = format!("is gone (pid {pid})");
    assert_eq!(server.count_lines(&taken_for_one), 0, "the supervisor is no generation");
    wait_for("the generations to be reaped", || children(pid) == [(last.1, 'S')]);
}

/// Should it crash, another one is made.
#[test]
fn after_a_roll_back_the_old_one_is_main() {
    for (signal, moves) in [Signal::SIGHUP, Signal::SIGUSR2]
        .into_iter()
        .flat_map(|signal| [(signal, false), (signal, true)])
    {
        let dir = Dir::new();
        let path = dir.path("control");
        let mut setup = supervised().env("LAB_PROBATION", 60_000);
        if moves {
            setup = setup.arg("--move");
        }
        let server = setup.arg("--control").arg(path.to_str().expect("utf-8")).start();
        let pid = server.child.id() as i32;
        let mut client = server.connect();
        let old = who(&mut client).1;
        server.signal(signal);
        wait_for("the new side to serve", || who(&mut server.connect()).0 == 1);
        let new = who(&mut server.connect()).1;
        assert_eq!(control(&path, "rollback"), "ok: generation 0 serves again");
        wait_gone(new);
        assert_eq!((who(&mut client).1, who(&mut server.connect()).1), (old, old));
        assert_eq!(server.pid(), pid);
        send(old, Signal::SIGKILL);
        wait_gone(old);
        let (generation, next) = who(&mut server.connect());
        assert!(generation > 1 && next != old && next != new, "{generation} {next}");
        assert_eq!(server.pid(), pid);
    }
}

#[test]
fn a_crash_refuses_nobody() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let unix = format!("unix:{}", path.display());
    let server = supervised().arg("--listen").arg(&unix).start();
    let main = who(&mut server.connect()).1;
    // Half of the clients are in the queue when it dies, and half come when it is dead.
    send(main, Signal::SIGSTOP);
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    send(main, Signal::SIGKILL);
    wait_gone(main);
    clients.extend((0..50).map(|_| server.connect()));
    UnixStream::connect(&path).expect("the path leads to the same socket");
    clients.iter_mut().for_each(|client| client.send("who\n"));
    for client in &mut clients {
        assert!(client.line().starts_with("1 "), "the next generation serves it");
    }
}

#[test]
fn generation_numbers_and_listeners_go_on_after_restarts_and_a_crash() {
    let server = supervised().start();
    server.restart(Signal::SIGHUP);
    server.restart(Signal::SIGUSR2);
    for crash in 0..2 {
        let (generation, main) = who(&mut server.connect());
        assert_eq!(generation, 2 + crash);
        send(main, Signal::SIGKILL);
        wait_gone(main);
    }
    let mut client = server.connect();
    assert_eq!(who(&mut client).0, 4);
    assert_eq!(client.ask("events"), "Fresh");
    server.restart(Signal::SIGHUP);
    assert_eq!(who(&mut server.connect()).0, 5);
    assert_eq!(client.ask("echo still here"), "still here");
}

#[test]
fn a_service_that_dies_again_and_again_is_given_more_and_more_time() {
    let dir = Dir::new();
    let broken = dir.path("broken");
    let server = supervised().env("LAB_BROKEN", broken.display()).start();
    let main = who(&mut server.connect()).1;
    fs::write(&broken, "exit").expect("a file");
    let begun = Instant::now();
    send(main, Signal::SIGKILL);
    let mut client = server.connect();
    client.send("who\n");
    // 100 + 200 + 400 + 800 ms: whatever else takes time only adds to it.
    server.wait_lines("supervisor: generation 1 is pid", 4);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "after {:?}", begun.elapsed());
    let delays = server.wait_lines("supervisor: another generation in", 4);
    let delays: Vec<_> = delays.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(delays, ["100ms", "200ms", "400ms", "800ms"]);
    server.wait_line("exit status 3; its stderr ends: lab: the configuration is broken");
    fs::remove_file(&broken).expect("the file");
    assert!(client.line().starts_with("1 "), "the client has waited in the queue");
}

#[test]
fn the_end_of_the_service_is_the_end_of_the_supervisor() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let unix = format!("unix:{}", path.display());
    let mut server = supervised().arg("--listen").arg(&unix).start();
    let mut first = server.connect();
    assert_eq!(who(&mut first).0, 0);
    server.restart(Signal::SIGHUP);
    let mut second = server.connect();
    assert_eq!(who(&mut second).0, 1);
    server.signal(Signal::SIGTERM);
    server.wait_line("draining: 1 connections are left");
    assert_eq!(second.ask("echo draining"), "draining");
    // The newest ends first, and it is not its parent that reaps it.
    drop(second);
    server.wait_line("drained: generation 1");
    assert_eq!(first.ask("echo still here"), "still here");
    assert!(server.child.try_wait().expect("our child").is_none(), "one generation is left");
    drop(first);
    assert_eq!(server.wait_exit().code(), Some(7), "main's own exit status");
    assert!(!path.exists() && !server.dir.path("pid").exists());
}

#[test]
fn told_directly_and_through_the_supervisor_it_leaves_in_order() {
    let mut server = supervised().start();
    let mut client = server.connect();
    // As who signals a whole group does.
    send(who(&mut client).1, Signal::SIGTERM);
    server.wait_line("draining: 1 connections are left");
    server.signal(Signal::SIGTERM);
    server.wait_lines("SIGTERM: heard", 2);
    assert_eq!(client.ask("echo draining"), "draining");
    drop(client);
    assert_eq!(server.wait_exit().code(), Some(7));
}

#[test]
fn told_twice_it_leaves_at_once() {
    let mut server = supervised().start();
    let mut client = server.connect();
    client.ask("who");
    server.signal(Signal::SIGTERM);
    server.wait_line("draining: 1 connections are left");
    assert_eq!(client.ask("echo draining"), "draining");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(7));
}

#[test]
fn a_first_generation_that_fails_is_the_end_as_well() {
    let dir = Dir::new();
    let broken = dir.path("broken");
    fs::write(&broken, "exit").expect("a file");
    let mut command = in_session(example("lab"));
    command.args(["--supervised", "--listen", "127.0.0.1:0"]).env("LAB_BROKEN", &broken);
    let mut server = Server::spawn(command, dir);
    assert_eq!(server.wait_exit().code(), Some(3));
    server.wait_line("lab: the configuration is broken");
    assert_eq!(server.count_lines("another generation"), 0);
}

/// They have connected before it was there, so they are heard in its first turn.
#[test]
fn an_operator_and_a_client_who_wait_for_the_first_turn_are_answered() {
    let dir = Dir::new();
    let (slow, path, socket) = (dir.path("slow"), dir.path("control"), dir.path("socket"));
    fs::write(&slow, "start 300").expect("a file");
    let mut command = in_session(example("lab"));
    command.args(["--supervised", "--listen", &format!("unix:{}", socket.display())]);
    command.arg("--control").arg(&path).env("LAB_SLOW", &slow);
    let server = Server::spawn(command, Dir::new());
    server.wait_line("supervisor: generation 0 is pid");
    let mut operator = Control::connect(&path).expect("it is bound");
    let status = operator.ask("status").join("\n");
    assert!(status.starts_with("ok: 1 generation, supervised by pid"), "{status}");
    assert!(status.contains("\ngeneration=0 pid="), "{status}");
    assert_eq!(server.count_lines("supervisor: another generation"), 0);
}

#[test]
fn orphans_are_reaped() {
    let server = supervised().start();
    let supervisor = server.child.id() as i32;
    let mut client = server.connect();
    let orphan: i32 = client.ask("orphan").parse().expect("its pid");
    assert!(children(supervisor).iter().any(|&(pid, _)| pid == orphan), "it is the supervisor's");
    send(orphan, Signal::SIGKILL);
    let gone = || !Path::new(&format!("/proc/{orphan}")).exists();
    wait_for("the orphan to be reaped", gone);
    assert!(children(supervisor).iter().all(|&(_, state)| state != 'Z'));
    client.ask("who");
}

#[test]
fn an_older_generation_outlives_a_crash_and_is_handed_to_the_next_one() {
    let dir = Dir::new();
    let path = dir.path("control");
    let mut server = supervised().arg("--control").arg(path.to_str().expect("utf-8")).start();
    let mut older = server.connect();
    let (_, older_pid) = who(&mut older);
    for crash in 1..=2 {
        server.restart(if crash == 1 { Signal::SIGHUP } else { Signal::SIGUSR2 });
        let (_, main) = who(&mut server.connect());
        send(main, Signal::SIGKILL);
        wait_gone(main);
        assert_eq!(older.ask("echo still here"), "still here");
        who(&mut server.connect());
        let listed = format!("generation=0 pid={older_pid} engine=none phase=draining");
        wait_for("the older in the status", || control(&path, "status").contains(&listed));
    }
    server.signal(Signal::SIGTERM);
    server.wait_line("dismissed by another generation");
    drop(older);
    assert_eq!(server.wait_exit().code(), Some(7));
}

#[test]
fn a_new_side_that_dies_in_its_probation_is_the_old_ones_business() {
    let mut server = supervised().env("LAB_PROBATION", 60_000).start();
    let mut first = server.connect();
    server.signal(Signal::SIGHUP);
    server.wait_line("supervisor: generation 1 is main");
    let (generation, main) = who(&mut server.connect());
    assert_eq!(generation, 1);
    send(main, Signal::SIGKILL);
    assert_eq!(who(&mut server.connect()).0, 0);
    server.wait_lines("supervisor: generation 0 is main", 2);
    assert_eq!(first.ask("echo still here"), "still here");
    drop(first);
    server.signal(Signal::SIGHUP);
    server.wait_line("supervisor: generation 2 is main");
    assert_eq!(who(&mut server.connect()).0, 2, "the number of the one that has failed is used up");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(7));
    assert_eq!(server.count_lines("another generation in"), 0);
}

#[test]
fn an_old_side_that_dies_in_the_probation_leaves_the_new_one_main() {
    let mut server = supervised().env("LAB_PROBATION", 60_000).start();
    let (_, old) = who(&mut server.connect());
    server.signal(Signal::SIGUSR2);
    server.wait_line("supervisor: generation 1 is main");
    send(old, Signal::SIGKILL);
    server.wait_line("committed: generation 1 stays");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(7));
    assert_eq!(server.count_lines("another generation in"), 0);
}

/// Only the one that has made it can tell how it has ended, and that one is slower.
#[test]
fn a_main_that_ends_before_its_maker_has_let_go_has_an_exit_status() {
    let dir = Dir::new();
    let fault = dir.path("fault");
    let mut server = supervised().env("HEIRLOOM_FAULT", fault.display()).start();
    let (_, old) = who(&mut server.connect());
    fs::write(&fault, "OldCommitted hang").expect("a file");
    server.signal(Signal::SIGHUP);
    wait_stopped(old);
    let (_, main) = who(&mut server.connect());
    server.signal(Signal::SIGTERM);
    wait_gone(main);
    resume(old);
    assert_eq!(server.wait_exit().code(), Some(7));
}

#[test]
fn told_to_leave_while_nobody_serves_it_ends_as_main_did() {
    let dir = Dir::new();
    let (broken, path) = (dir.path("broken"), dir.path("socket"));
    let unix = format!("unix:{}", path.display());
    let setup = supervised().env("LAB_BROKEN", broken.display()).arg("--listen").arg(&unix);
    let mut server = setup.start();
    let main = who(&mut server.connect()).1;
    fs::write(&broken, "exit").expect("a file");
    send(main, Signal::SIGKILL);
    server.wait_lines("supervisor: another generation in", 3);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(128 + Signal::SIGKILL as i32));
    assert!(!path.exists() && !server.dir.path("pid").exists());
}

#[test]
fn a_signal_that_the_server_does_not_hear_ends_it_as_it_would_without_a_supervisor() {
    let mut server = supervised().start();
    server.signal(Signal::SIGUSR1);
    assert_eq!(server.wait_exit().code(), Some(128 + Signal::SIGUSR1 as i32));
}

#[test]
fn generations_serve_on_when_their_supervisor_is_killed() {
    let mut server = supervised().start();
    let mut client = server.connect();
    let (_, main) = who(&mut client);
    server.child.kill().expect("our child");
    server.wait_exit();
    assert_eq!(client.ask("echo still here"), "still here");
    let answer = client.ask("restart fork-exec");
    let new = answer.strip_prefix("ok 1 ").and_then(|pid| pid.parse().ok()).expect("a restart");
    assert_eq!(server.pid(), new, "there is no stable one to be told any more");
    drop(client);
    wait_gone(main);
    assert_eq!(who(&mut server.connect()), (1, new));
    send(new, Signal::SIGTERM);
    wait_gone(new);
    assert!(!server.dir.path("pid").exists());
}

/// How a command is run as the first process of a pid namespace, if that is allowed here.
fn pid_namespace() -> Option<Vec<&'static str>> {
    let ways = [&["--pid"][..], &["--user", "--map-root-user", "--pid"]];
    let ways = ways.map(|way| [way, &["--fork", "--mount-proc"]].concat());
    let works = |way: &Vec<&str>| {
        let status = Command::new("unshare").args(way).arg("true").output();
        status.is_ok_and(|output| output.status.success())
    };
    ways.into_iter().find(works)
}

/// The number that a process has in the innermost pid namespace that it is in.
fn pid_inside(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

fn first_process(name: &str, args: &[&str]) -> Option<(Server, i32)> {
    let Some(way) = pid_namespace() else {
        eprintln!("skipped: {name}: no pid namespace can be made here");
        return None;
    };
    let dir = Dir::new();
    let mut command = in_session("unshare");
    command.args(way).arg(example("lab")).args(["--listen", "127.0.0.1:0"]).args(args);
    command.env("LAB_PROBATION", "50").env("LAB_EXIT", "7");
    let mut server = Server::spawn(command, dir);
    let ready = server.wait_line("ready: generation 0");
    server.address = ready.rsplit("listening on ").next().unwrap_or_default().to_owned();
    // Seen from here, since its number there is 1.
    let first = children(server.child.id() as i32).first().expect("unshare's child").0;
    Some((server, first))
}

#[test]
fn scenario_14_the_first_process_of_a_container() {
    let name = "scenario_14_the_first_process_of_a_container";
    let Some((mut server, first)) = first_process(name, &["--supervised"]) else { return };
    server.wait_line("[1] INFO: supervisor: generation 0 is main");
    for generation in 1..=5 {
        send(first, if generation % 2 == 1 { Signal::SIGHUP } else { Signal::SIGUSR2 });
        server.wait_lines("restart: done", generation);
    }
    let mut client = server.connect();
    let (generation, inside) = who(&mut client);
    assert_eq!(generation, 5);
    client.ask("orphan");
    // The generation before may be a child of the first process, too, and have the newest one as its own.
    let main = || children(first).into_iter().find(|&(pid, _)| pid_inside(pid) == Some(inside));
    wait_for("earlier generations to be reaped", || main().is_some() && children(first).len() == 2);
    // A crash.
    send(main().expect("the server").0, Signal::SIGKILL);
    assert_eq!(who(&mut server.connect()).0, 6);
    // The end: an orphan that is left ends with the container.
    send(first, Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(7));
}

#[test]
fn the_first_process_refuses_a_restart_without_a_supervisor() {
    let name = "the_first_process_refuses_a_restart_without_a_supervisor";
    let Some((server, _)) = first_process(name, &[]) else { return };
    let answer = server.connect().ask("restart fork");
    assert!(answer.starts_with("error restart refused: this is process 1"), "{answer}");
    assert!(answer.contains("Server::supervised"), "{answer}");
}

/// It is answered in the first turn of the new generation, whose supervisor still waits for its last word.
#[test]
fn an_operator_who_asks_meanwhile_is_answered() {
    let dir = Dir::new();
    let path = dir.path("control");
    let server = supervised().arg("--control").arg(path.to_str().expect("utf-8")).start();
    let (_, pid) = who(&mut server.connect());
    send(pid, Signal::SIGKILL);
    wait_gone(pid);
    let status = control(&path, "status");
    let lines: Vec<_> = status.lines().collect();
    assert_eq!(lines.len(), 2, "{status}");
    assert!(lines[1].starts_with("generation=1 "), "{status}");
    assert_eq!(who(&mut server.connect()).0, 1);
    assert_eq!(server.count_lines("the new side failed"), 0);
}
