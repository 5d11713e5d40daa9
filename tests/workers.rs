//! Several processes that serve: clients come to each, a crash costs one, a restart goes through them one after the
//! other and stops at the first that is not replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::UdpSocket,
    ops::Deref,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, Dir, Server, Setup,
    churn::{Churn, ECHO, LAB, assert_only_cut},
    ops::{Control, Operated, Row},
    restart::{slay, stop, tell},
    wait_for, wait_gone,
};
use nix::{sched::sched_getaffinity, sys::signal::Signal, unistd::Pid};

/// Two workers of a lab.
struct Pair(Operated);

impl Deref for Pair {
    type Target = Operated;

    fn deref(&self) -> &Operated {
        &self.0
    }
}

impl Pair {
    fn start() -> Pair {
        Pair::with(50, |setup| setup)
    }

    fn with(probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Pair {
        let pair = Operated::with(probation, |setup| adjust(setup.arg("--workers").arg("2")));
        let pair = Pair(pair);
        wait_for("both workers to stay", || pair.count_lines("committed: generation 0") == 2);
        pair
    }

    /// The generation and the pid that serves, of each worker.
    fn serving(&self) -> [(u64, i32); 2] {
        let rows = self.rows();
        [0, 1].map(|worker| {
            let own = |row: &&Row| row.get("worker") == worker.to_string();
            let row = rows.iter().filter(own).find(|row| row.get("phase") == "serving");
            row.map_or((0, 0), |row| (row.get("generation").parse().expect("a number"), row.pid()))
        })
    }

    /// A client of this process.
    fn client_of(&self, pid: i32) -> Client {
        let mut found = None;
        wait_for("a client of that worker", || {
            let mut client = self.connect();
            found = (who(&mut client).1 == pid).then_some(client);
            found.is_some()
        });
        found.expect("one")
    }

    /// Waits until both are of these generations.
    fn wait_for_generations(&self, wanted: [u64; 2]) {
        wait_for("the generations", || self.serving().map(|(generation, _)| generation) == wanted);
    }
}

fn who(client: &mut Client) -> (u64, i32) {
    let answer = client.ask("who");
    let mut words = answer.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i32>().ok()).expect("a number");
    (number() as u64, number())
}

/// How many connections of so many came to which process.
fn shares(pair: &Pair, count: usize) -> BTreeMap<i32, usize> {
    let mut clients: Vec<_> = (0..count).map(|_| pair.connect()).collect();
    let mut shares = BTreeMap::new();
    for client in &mut clients {
        *shares.entry(who(client).1).or_default() += 1;
    }
    shares
}

/// A client that was served by the one which was killed is cut off, and nobody else notices.
fn assert_nobody_notices(failed: &common::load::Tally) {
    assert_eq!(failed.total(), 0, "{failed:?}");
}

#[test]
fn each_worker_serves_and_the_status_shows_both() {
    for extra in [&[][..], &["--shared"]] {
        let pair = Pair::with(50, |setup| extra.iter().fold(setup, |setup, word| setup.arg(*word)));
        let pids = pair.serving().map(|(_, pid)| pid);
        assert_eq!(BTreeSet::from(pids).len(), 2);
        pids.iter().for_each(|&pid| drop(pair.client_of(pid)));
        let supervisor = pair.child.id();
        let head = format!("ok: 2 workers, 2 generations, supervised by pid {supervisor}");
        assert_eq!(pair.request("status")[0], head);
        assert_eq!(pair.pid(), supervisor as i32, "the pid file holds the supervisor's");
        let own = pair.control().with_file_name("control.1");
        let told = Control::connect(&own).expect("a worker has its own").ask("status").join("\n");
        assert!(told.contains(&format!("pid={} ", pids[1])), "{told}");
        assert_eq!(pair.heirloom(&["check"]).status, Some(0), "the first worker is asked");
        let table = pair.heirloom(&["status"]);
        let firsts = table.out.lines().map(|line| line.split_whitespace().next().unwrap_or("?"));
        assert_eq!(firsts.collect::<Vec<_>>(), ["worker", "0", "1"], "{table:?}");
    }
}

#[test]
fn connections_are_dealt_out_to_both() {
    let pair = Pair::start();
    let shares = shares(&pair, 200);
    // Of 200 throws of a coin, fewer than 50 come up heads once in 10^12 times.
    assert!(shares.len() == 2 && shares.values().all(|&share| share >= 50), "{shares:?}");
}

#[test]
fn a_service_knows_which_worker_it_is() {
    let pair = Pair::with(50, |setup| setup.arg("--move"));
    for signal in [None, Some(Signal::SIGHUP), Some(Signal::SIGUSR2)] {
        if let Some(signal) = signal {
            let done = pair.count_lines("all 2 workers are replaced");
            tell(pair.pid(), signal);
            pair.wait_lines("all 2 workers are replaced", done + 1);
        }
        for (worker, (_, pid)) in pair.serving().into_iter().enumerate() {
            assert_eq!(pair.client_of(pid).ask("worker"), format!("{worker} of 2"), "{signal:?}");
        }
    }
    assert_eq!(Server::of("lab").start().connect().ask("worker"), "none");
}

#[test]
fn a_crash_costs_one_worker() {
    let pair = Pair::start();
    let churn = Churn::start(&pair.address, LAB);
    let [(_, first), (_, second)] = pair.serving();
    let mut client = pair.client_of(second);
    churn.wait_for_more();
    slay(first);
    wait_gone(first);
    pair.wait_for_generations([1, 0]);
    churn.wait_for_more();
    assert_eq!(client.ask("echo still here"), "still here");
    assert_only_cut(&churn.stop());
    let [_, (_, same)] = pair.serving();
    assert_eq!(same, second);
    pair.wait_line("worker 0: another generation in 100ms");
}

/// Half of the clients are in the queue of a worker that is dead.
#[test]
fn who_waits_for_a_worker_that_is_gone_is_served_by_the_next_generation_of_it() {
    let pair = Pair::start();
    let [(_, first), (_, second)] = pair.serving();
    stop(first);
    let mut clients: Vec<_> = (0..40).map(|_| pair.connect()).collect();
    slay(first);
    wait_gone(first);
    clients.extend((0..40).map(|_| pair.connect()));
    clients.iter_mut().for_each(|client| client.send("who\n"));
    let mut generations = BTreeSet::new();
    for client in &mut clients {
        let line = client.line();
        generations.insert(line.split(' ').take(1).collect::<String>());
        assert!(
            line.starts_with("1 ") || line.split(' ').nth(1) == Some(&second.to_string()),
            "{line}"
        );
    }
    assert_eq!(generations.len(), 2, "some were in its queue");
}

#[test]
fn a_restart_goes_through_all_and_no_client_notices() {
    let dir = Dir::new();
    let control = dir.path("control");
    for shared in [false, true] {
        let mut setup = Server::of("echo").arg("--workers").arg("2");
        setup = setup.arg("--control").arg(control.to_str().expect("utf-8"));
        let server = if shared { setup.arg("--shared") } else { setup }.start();
        server.wait_lines("ready: generation 0", 2);
        let churn = Churn::start(&server.address, ECHO);
        let ask = |request| Control::connect(&control).expect("it accepts").ask(request);
        for round in 1..=5 {
            churn.wait_for_more();
            match round {
                1 => tell(server.pid(), Signal::SIGHUP),
                2 => tell(server.pid(), Signal::SIGUSR2),
                3 => assert_eq!(ask("restart fork")[0], "ok: all 2 workers are replaced"),
                4 => assert_eq!(ask("restart fork-exec move")[0], "ok: all 2 workers are replaced"),
                _ => assert_eq!(ask("restart like 1")[0], "ok: all 2 workers are replaced"),
            }
            server.wait_lines("supervisor: all 2 workers are replaced", round);
        }
        churn.wait_for_more();
        assert_nobody_notices(&churn.stop());
        let status = ask("status");
        let is_fifth =
            |line: &String| line.starts_with("generation=5 ") && line.contains("phase=serving");
        assert_eq!(status.iter().filter(|line| is_fifth(line)).count(), 2, "{status:?}");
    }
}

/// Each is served by its process until it ends, so a client of each shows who was replaced when.
#[test]
fn the_second_worker_is_asked_when_the_first_has_passed_its_probation() {
    let pair = Pair::with(400, |setup| setup);
    let before = pair.serving().map(|(_, pid)| pid);
    let begun = Instant::now();
    let reply = pair.request("restart fork");
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
    assert_eq!(reply[0], "ok: all 2 workers are replaced");
    let after = pair.serving().map(|(_, pid)| pid);
    for worker in 0..2 {
        let told = format!("worker={worker} generation 1 is pid {}, by fork, in ", after[worker]);
        assert!(reply.iter().any(|line| line.starts_with(&told)), "{reply:?}");
        assert_ne!(before[worker], after[worker]);
    }
    let log = pair.log();
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text}"));
    let first = at("supervisor: worker 0: generation 1 is pid");
    assert!(first < at(&format!("[{}] INFO: restart: generation 1", before[1])));
}

#[test]
fn a_bad_version_stops_at_the_first_worker() {
    let pair = Pair::start();
    let before = pair.serving();
    let churn = Churn::start(&pair.address, LAB);
    for (round, (how, why)) in
        [("exit", "exit status"), ("panic", "panicked")].into_iter().enumerate()
    {
        pair.break_programs(how);
        let told = pair.heirloom(&["restart", "--fork-exec"]);
        assert_eq!(told.status, Some(1), "{told:?}");
        assert!(told.err.contains("worker 0: ") && told.err.contains(why), "{told:?}");
        assert!(told.err.contains("; worker 1 is as it was"), "{told:?}");
        tell(pair.pid(), Signal::SIGUSR2);
        pair.wait_lines("the restart stops at worker 0", 2 * (round + 1));
        pair.mend_programs();
    }
    assert_eq!(pair.serving(), before);
    assert_nobody_notices(&churn.stop());
}

/// One that serves for a moment and dies then.
#[test]
fn one_that_dies_in_its_probation_stops_it_as_well() {
    let pair = Pair::with(60_000, |setup| setup);
    let before = pair.serving();
    let churn = Churn::start(&pair.address, LAB);
    let asked = pair.heirloom_later(&["restart", "--fork"]);
    pair.wait_line("supervisor: worker 0: generation 1 is main");
    churn.wait_for_more();
    let new = pair.rows().iter().find(|row| row.get("generation") == "1").map(Row::pid);
    slay(new.expect("it serves"));
    let told = asked.wait();
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("; worker 1 is as it was"), "{told:?}");
    wait_for("the old ones to serve", || pair.serving() == before);
    assert_only_cut(&churn.stop());
    // And a roll back, which is asked of the worker that is in its probation.
    let nothing = pair.request("rollback");
    assert!(nothing[0].starts_with("error: there is nothing to roll back"), "{nothing:?}");
    let asked = pair.heirloom_later(&["restart", "--fork-exec"]);
    pair.wait_lines("supervisor: worker 0: generation 2 is main", 1);
    assert_eq!(pair.request("rollback"), ["ok: generation 0 serves again"]);
    assert_eq!(asked.wait().status, Some(1));
    wait_for("the old ones to serve", || pair.serving() == before);
}

#[test]
fn one_restart_of_all_at_a_time() {
    let pair = Pair::with(500, |setup| setup);
    let asked = pair.heirloom_later(&["restart", "--fork"]);
    pair.wait_line("supervisor: worker 0: generation 1 is main");
    let second = pair.request("restart fork");
    assert_eq!(second, ["error: a restart is in progress already"]);
    tell(pair.pid(), Signal::SIGHUP);
    pair.wait_lines("supervisor: no restart: a restart is in progress already", 2);
    assert_eq!(asked.wait().status, Some(0));
    pair.wait_for_generations([1, 1]);
}

/// Each worker binds it when its turn comes.
#[test]
fn a_new_program_listens_on_a_new_address_with_all_workers() {
    let pair = Pair::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    pair.listen_also(&address);
    let told = pair.request("restart fork-exec");
    assert_eq!(told[0], "ok: all 2 workers are replaced", "{told:?}");
    let mut pids = BTreeSet::new();
    wait_for("both to serve there", || {
        pids.insert(who(&mut Client::connect(&address)).1);
        pids.len() == 2
    });
    assert_eq!(pids, BTreeSet::from(pair.serving().map(|(_, pid)| pid)));
    // And what is another server's is refused, as ever.
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    pair.listen_also(&foreign.local_addr().expect("its address").to_string());
    let told = pair.request("restart fork-exec");
    assert!(told[0].starts_with("error: worker 0: ") && told[0].contains("in use"), "{told:?}");
}

/// The kernel gives what comes from one peer to one worker, and there it stays with the generation that it began with.
#[test]
fn flows_are_dealt_out_and_stay_where_they_began() {
    let server =
        Server::of("flows").arg("--workers").arg("2").arg("--datagrams").arg("127.0.0.1:0");
    let server = server.start();
    let ready = server.wait_lines("listening on", 2).remove(0);
    let address = ready.rsplit("udp:").next().expect("its address").to_owned();
    let peers: Vec<_> = (0..40)
        .map(|_| {
            let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            peer.set_read_timeout(Some(common::DEADLINE)).expect("a time");
            peer.connect(&address).expect("an address");
            peer
        })
        .collect();
    // `FLOW SEQ COUNT PID TEXT`.
    let ask = |peer: &UdpSocket, text: String| {
        peer.send(text.as_bytes()).expect("it is sent");
        let mut answer = [0; 100];
        let length = peer.recv(&mut answer).expect("an answer in time");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let words: Vec<_> = answer.split(' ').map(str::to_owned).collect();
        (words[0].clone(), words[3].clone())
    };
    let begun: Vec<_> = peers.iter().map(|peer| ask(peer, "new 1 hello".to_owned())).collect();
    let pids: BTreeSet<_> = begun.iter().map(|(_, pid)| pid.clone()).collect();
    assert_eq!(pids.len(), 2, "{begun:?}");
    for round in 1..=2 {
        tell(server.pid(), [Signal::SIGHUP, Signal::SIGUSR2][round - 1]);
        server.wait_lines("supervisor: all 2 workers are replaced", round);
        for (peer, flow) in peers.iter().zip(&begun) {
            assert_eq!(ask(peer, format!("{} 2 again", flow.0)), *flow);
        }
    }
}

/// What hangs is shown, is not waited for, and does not keep the others from ending.
#[test]
fn a_worker_that_hangs_holds_up_nobody() {
    let mut pair = Pair::with(50, |setup| setup.env("LAB_STOP", 500));
    let [(_, first), (_, second)] = pair.serving();
    stop(first);
    let begun = Instant::now();
    let rows = pair.rows();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let phases: Vec<_> = rows.iter().map(|row| (row.get("phase"), row.pid())).collect();
    assert_eq!(phases, [("silent", first), ("serving", second)]);
    let refused = pair.request("restart fork");
    assert!(
        refused[0].starts_with("error: worker 0: it says nothing for 10s; worker 1"),
        "{refused:?}"
    );
    tell(pair.pid(), Signal::SIGTERM);
    assert!(pair.0.wait_exit().code().is_some());
    wait_gone(first);
}

#[test]
fn a_stop_drains_all_and_whoever_says_so_speaks_for_all() {
    for how in ["signal", "drain", "stop", "worker", "group"] {
        let mut pair = Pair::with(50, |setup| setup.env("LAB_EXIT", 7));
        let pids = pair.serving().map(|(_, pid)| pid);
        let mut clients = pids.map(|pid| pair.client_of(pid));
        match how {
            "signal" => tell(pair.pid(), Signal::SIGTERM),
            "worker" => tell(pids[0], Signal::SIGTERM),
            "group" => {
                let group = Pid::from_raw(pair.child.id() as i32);
                nix::sys::signal::killpg(group, Signal::SIGTERM).expect("it is there");
            }
            request => assert!(pair.request(request)[0].starts_with("ok: ")),
        }
        if how != "stop" {
            pair.wait_lines("draining: 1 connections are left", 2);
            for client in &mut clients {
                assert_eq!(client.ask("echo to the end"), "to the end", "{how}");
            }
            drop(clients);
        }
        assert_eq!(pair.0.wait_exit().code(), Some(7), "{how}");
        let names =
            fs::read_dir(pair.control().parent().expect("a directory")).expect("it is there");
        let sockets =
            names.flatten().filter(|it| it.file_name().to_string_lossy().contains("control"));
        assert_eq!(sockets.count(), 0, "{how}: the paths are gone");
        assert!(!pair.dir.path("pid").exists());
    }
}

#[test]
fn a_second_stop_means_now() {
    let mut pair = Pair::start();
    let pids = pair.serving().map(|(_, pid)| pid);
    let _clients = pids.map(|pid| pair.client_of(pid));
    tell(pair.pid(), Signal::SIGTERM);
    pair.wait_lines("draining: 1 connections are left", 2);
    tell(pair.pid(), Signal::SIGTERM);
    pair.0.wait_exit();
}

#[test]
fn a_first_generation_that_fails_is_the_end_and_has_failed_once() {
    let dir = Dir::new();
    let broken = dir.path("broken");
    fs::write(&broken, "exit").expect("a file");
    let mut command = common::in_session(common::example("lab"));
    command.args(["--workers", "4", "--listen", "127.0.0.1:0"]).env("LAB_BROKEN", &broken);
    let mut server = Server::spawn(command, dir);
    assert_eq!(server.wait_exit().code(), Some(3));
    assert_eq!(server.count_lines("exit status 3; its stderr ends"), 1);
}

#[test]
fn each_stays_on_its_core_through_restarts_and_a_crash() {
    let usable = sched_getaffinity(Pid::this()).expect("it is asked for");
    let cores: Vec<_> = (0..nix::sched::CpuSet::count())
        .filter(|&core| usable.is_set(core).expect("a core"))
        .collect();
    let pair = Pair::with(50, |setup| setup.arg("--pinned"));
    let assert_pinned = || {
        for (worker, (_, pid)) in pair.serving().into_iter().enumerate() {
            let own = sched_getaffinity(Pid::from_raw(pid)).expect("it lives");
            let wanted = cores[worker % cores.len()];
            for &core in &cores {
                assert_eq!(own.is_set(core), Ok(core == wanted), "worker {worker}, core {core}");
            }
        }
    };
    assert_pinned();
    for request in ["restart fork", "restart fork-exec"] {
        assert_eq!(pair.request(request)[0], "ok: all 2 workers are replaced");
        assert_pinned();
    }
    let [_, (_, second)] = pair.serving();
    slay(second);
    pair.wait_for_generations([2, 3]);
    assert_pinned();
}

#[test]
fn workers_serve_on_when_their_supervisor_is_killed() {
    let mut pair = Pair::start();
    let pids = pair.serving().map(|(_, pid)| pid);
    let mut clients = pids.map(|pid| pair.client_of(pid));
    pair.0.child.kill().expect("our child");
    pair.0.wait_exit();
    for client in &mut clients {
        assert_eq!(client.ask("echo still here"), "still here");
    }
    pids.iter().for_each(|&pid| drop(pair.client_of(pid)));
    // Each is restarted by itself, at its own control socket.
    let own = pair.control().with_file_name("control.1");
    let told = Control::connect(&own).expect("it accepts").ask("restart fork");
    assert!(told[0].starts_with("ok: generation 1 is pid"), "{told:?}");
    pids.iter().for_each(|&pid| tell(pid, Signal::SIGTERM));
}

/// An example whose state is in one process says so, and what helps.
#[test]
fn who_cannot_share_refuses() {
    let dir = Dir::new();
    for name in ["kv", "chat", "mqtt", "jobs", "ledger"] {
        let mut command = std::process::Command::new(common::example(name));
        command.env("LEDGER_FILE", dir.path("ledger.db"));
        let told = command.args(["--workers", "2"]).output().expect("it runs");
        let why = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{name}: {why}");
        assert!(why.contains("--workers: ") && why.contains("one process serves"), "{name}: {why}");
    }
}

/// A second server at the same address by mistake is refused, although workers share theirs.
#[test]
fn a_second_server_at_the_same_address_is_refused() {
    let pair = Pair::start();
    let mut command = std::process::Command::new(common::example("lab"));
    let told = command.args(["--workers", "2", "--listen", &pair.address]).output();
    let told = told.expect("it runs");
    let why = String::from_utf8_lossy(&told.stderr);
    assert!(why.contains("Address already in use"), "{why}");
}
