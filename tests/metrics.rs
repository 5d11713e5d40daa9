//! Numbers of a service over all its generations: what clients have done is what they say, whoever restarts, dies or
//! goes back meanwhile.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use crate::common::{
    self, Client, Dir, Setup,
    openmetrics::Scrape,
    ops::{Control, Operated, newcomer},
    restart::Engine,
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

for_both_engines!(
    the_sums_are_what_clients_have_done,
    a_draining_generation_that_is_killed_takes_nothing_along,
    a_roll_back_takes_nothing_back,
    connections_that_move_are_counted_once,
);

fn scrape_at(control: &Path) -> Scrape {
    let reply = Control::connect(control).expect("the control socket is there").ask("metrics");
    assert_eq!(reply[0], "ok: OpenMetrics 1.0", "{reply:?}");
    Scrape::read(&format!("{}\n", reply[1..].join("\n")))
}

fn scrape(lab: &Operated) -> Scrape {
    scrape_at(&lab.control())
}

fn end(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there");
    wait_gone(pid);
}

/// What the test's clients have done.
#[derive(Default)]
struct Done {
    clients: Vec<Client>,
    connects: u64,
    asked: u64,
    sent: u64,
    got: u64,
}

impl Done {
    fn connect(&mut self, address: &str) {
        self.clients.push(Client::connect(address));
        self.connects += 1;
    }

    /// Each client asks once.
    fn ask(&mut self) {
        for client in &mut self.clients {
            let answer = client.ask("who");
            self.asked += 1;
            self.sent += "who\n".len() as u64;
            self.got += answer.len() as u64 + 1;
        }
    }

    /// A process publishes what it counts at the end of a turn, when the client has its answer already.
    fn is_counted(&self, scrape: &Scrape) -> bool {
        let counted = [
            (r#"heirloom_connections_opened_total{by="accept"}"#, self.connects),
            ("heirloom_messages_total{}", self.asked),
            (r#"heirloom_bytes_total{direction="in"}"#, self.sent),
            (r#"heirloom_bytes_total{direction="out"}"#, self.got),
            (r#"lab_requests_total{of="a \"lab\""}"#, self.asked),
        ];
        let counted = counted.map(|(key, done)| {
            assert!(scrape.get(key) <= done as f64, "{key} is more than the {done} that were done");
            scrape.get(key) == done as f64
        });
        counted.iter().all(|is| *is)
    }
}

fn wait_counted(lab: &Operated, done: &Done, before: &mut Scrape) {
    wait_for("all to be counted", || {
        let now = scrape(lab);
        now.goes_on_from(before);
        *before = now;
        done.is_counted(before)
    });
}

fn the_sums_are_what_clients_have_done(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let mut done = Done::default();
    let mut last = scrape(&lab);
    for generation in 1..=4 {
        done.connect(&lab.address);
        done.ask(); // those of earlier generations as well, which drain
        lab.restart_by(engine);
        done.ask();
        wait_counted(&lab, &done, &mut last);
        assert_eq!(last.get("heirloom_generations{}"), f64::from(generation) + 1.0);
        assert_eq!(last.sum("heirloom_connections"), f64::from(generation));
    }
    wait_for("each turn but the one that tells to be timed", || {
        last = scrape(&lab);
        last.get("heirloom_turn_seconds_count{}") == last.get("heirloom_turns_total{}") - 1.0
    });
    done.clients.clear();
    wait_for("the others to be gone", || lab.status().len() == 1);
    wait_counted(&lab, &done, &mut last);
    let closed = r#"heirloom_connections_closed_total{reason="peer_closed"}"#;
    assert_eq!((last.get(closed), last.sum("heirloom_connections")), (4.0, 0.0));
    for gauge in ["heirloom_resident_bytes", "heirloom_descriptors"] {
        assert!(last.get(&format!("{gauge}{{generation=\"4\"}}")) > 1.0, "{gauge}");
    }
    let private = last.get(r#"heirloom_memory_bytes{generation="4",kind="private"}"#);
    assert!(private > 4096.0 && last.keys("heirloom_generation_info{").len() == 1);
}

fn a_draining_generation_that_is_killed_takes_nothing_along(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let mut done = Done::default();
    let mut last = scrape(&lab);
    done.connect(&lab.address);
    let old = lab.pid();
    lab.restart_by(engine);
    done.ask();
    wait_counted(&lab, &done, &mut last);
    end(old);
    done.clients.clear();
    done.connect(&lab.address);
    done.ask();
    wait_counted(&lab, &done, &mut last);
    lab.restart_by(engine);
    done.ask();
    wait_counted(&lab, &done, &mut last);
}

fn a_roll_back_takes_nothing_back(engine: Engine) {
    let lab = Operated::with(20_000, |setup| setup);
    let mut done = Done::default();
    let mut last = scrape(&lab);
    done.connect(&lab.address);
    done.ask();
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    wait_for("the new one to serve", || lab.status()[0].get("phase") == "probation");
    done.connect(&lab.address);
    done.ask();
    wait_counted(&lab, &done, &mut last);
    assert_eq!(last.get("lab_generation{}"), 1.0);
    assert_eq!(lab.request("rollback"), ["ok: generation 0 serves again"]);
    assert_eq!(restart.wait().status, Some(1));
    done.connect(&lab.address);
    done.ask();
    wait_counted(&lab, &done, &mut last);
    assert_eq!(last.get("lab_generation{}"), 0.0);
}

/// They are not opened anew, nor closed where they leave.
fn connections_that_move_are_counted_once(engine: Engine) {
    let lab = Operated::with(50, |setup| setup.arg("--move"));
    let mut done = Done::default();
    let mut last = scrape(&lab);
    (0..5).for_each(|_| done.connect(&lab.address));
    done.ask();
    for _ in 0..2 {
        let ran = lab.heirloom(&["restart", &format!("--{}", engine.name()), "--move"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        done.ask();
        wait_counted(&lab, &done, &mut last);
    }
    assert_eq!(last.sum("heirloom_connections_closed_total"), 0.0);
    assert_eq!(last.get(r#"heirloom_connections_moved_total{direction="in"}"#), 10.0);
    assert_eq!(last.sum("heirloom_connections"), 5.0);
}

/// Nobody is left who has counted but the memory, which the supervisor has.
#[test]
fn a_crash_of_all_that_have_counted_takes_nothing_along() {
    let lab = Operated::with(50, |setup: Setup| setup.arg("--supervised"));
    let mut done = Done::default();
    let mut last = scrape(&lab);
    for _ in 0..2 {
        done.connect(&lab.address);
        done.ask();
        wait_counted(&lab, &done, &mut last);
        let (pid, begun) = (lab.status()[0].pid(), lab.count_lines("ready: generation"));
        end(pid);
        done.clients.clear();
        lab.wait_lines("ready: generation", begun + 1);
    }
    done.connect(&lab.address);
    done.ask();
    wait_counted(&lab, &done, &mut last);
}

/// One that does not answer costs half a second, and what it has counted is there all the same.
#[test]
fn what_a_generation_that_hangs_has_counted_is_told() {
    let lab = Operated::with(50, |setup| setup);
    let mut done = Done::default();
    done.connect(&lab.address);
    done.ask();
    let mut last = scrape(&lab);
    wait_counted(&lab, &done, &mut last);
    let old = lab.pid();
    lab.restart_by(Engine::Fork);
    common::restart::stop(old);
    let now = scrape(&lab);
    now.goes_on_from(&last);
    assert_eq!(now.keys("heirloom_generation_info{engine=\"none\"").len(), 1);
    assert!(now.keys("heirloom_generation_info{")[1].contains("phase=\"silent\""));
    assert!(!now.has(r#"heirloom_connections{generation="0"}"#));
    common::restart::resume(old);
}

#[test]
fn the_program_prints_what_a_monitor_reads() {
    let lab = Operated::with(50, |setup| setup);
    newcomer(&lab);
    let ran = lab.heirloom(&["metrics"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(Scrape::read(&ran.out).get("heirloom_turns_total{}") > 0.0);
}

/// Over a socket of the library's own: what is there, and what is not.
#[test]
fn a_monitor_asks_by_http() {
    let files = Dir::new();
    let path = files.path("numbers");
    let address = format!("unix:{}", path.display());
    let lab = Operated::with(50, |setup| setup.arg("--metrics").arg(&address));
    let mut done = Done::default();
    done.connect(&lab.address);
    done.ask();
    let get = |request: &str| {
        let mut stream = UnixStream::connect(&path).expect("the listener is there");
        stream.set_read_timeout(Some(common::DEADLINE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("it takes a request");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    };
    let mut last = scrape(&lab);
    for engine in Engine::alternating().take(4) {
        lab.restart_by(engine);
        wait_for("all to be counted", || {
            let (head, body) = get("GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            let now = Scrape::read(&body);
            now.goes_on_from(&last);
            last = now;
            done.is_counted(&last) // who has asked for it is not
        });
    }
    assert_eq!(last.sum("heirloom_connections"), 1.0);
    let (head, body) = get("HEAD /metrics HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head}");
    for path in ["/", "/livez", "/metrics/"] {
        let (head, _) = get(&format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {head}");
    }
}

/// Whoever of them is asked by way of their supervisor.
#[test]
fn what_several_workers_count_is_one_sum() {
    let lab = Operated::with(50, |setup| setup.arg("--workers").arg("2"));
    wait_for("both workers to stay", || lab.count_lines("committed: generation 0") == 2);
    let mut done = Done::default();
    let mut last = scrape(&lab);
    for engine in ["fork", "fork-exec"] {
        (0..20).for_each(|_| done.connect(&lab.address));
        done.ask();
        wait_counted(&lab, &done, &mut last);
        let answer = lab.request(&format!("restart {engine}"));
        assert_eq!(answer[0], "ok: all 2 workers are replaced");
        done.ask();
        wait_counted(&lab, &done, &mut last);
    }
    done.clients.clear();
    wait_for("the others to be gone", || lab.rows().len() == 2);
    let dead = lab.rows()[0].pid();
    end(dead);
    wait_for("another generation", || {
        lab.rows().iter().any(|row| row.get("generation") == "3" && row.get("phase") == "serving")
    });
    wait_for("the dead one to count no more", || {
        let now = scrape(&lab);
        assert!(
            now.keys("heirloom_generation_info{").iter().all(|it| !it.contains(&dead.to_string()))
        );
        now.get("heirloom_generations{}") == 2.0
    });
    done.connect(&lab.address);
    done.ask();
    wait_counted(&lab, &done, &mut last);
}

/// Whichever of them is asked: what is so at the moment is told of each.
#[test]
fn what_several_workers_have_at_the_moment_is_told_of_each() {
    let lab = Operated::with(50, |setup| setup.arg("--workers").arg("2"));
    wait_for("both workers to stay", || lab.count_lines("committed: generation 0") == 2);
    let mut clients: Vec<_> = (0..40).map(|_| lab.connect()).collect();
    let pids: Vec<_> = clients.iter_mut().map(|client| client.who().pid).collect();
    let workers = [0, 1].map(|index| {
        let row = lab.rows().into_iter().find(|row| row.get("worker") == index.to_string());
        let pid = row.expect("it serves").pid();
        (index, pid, pids.iter().filter(|of| **of == pid).count() as f64)
    });
    let asked =
        [lab.control(), lab.control().with_extension("0"), lab.control().with_extension("1")];
    for control in asked {
        wait_for("both to have told", || {
            let now = scrape_at(&control);
            workers.iter().all(|(index, _, count)| {
                let labels = format!("{{generation=\"0\",worker=\"{index}\"}}");
                now.has(&format!("heirloom_connections{labels}"))
                    && now.get(&format!("heirloom_connections{labels}")) == *count
            })
        });
        let now = scrape_at(&control);
        assert_eq!(
            (now.sum("heirloom_connections"), now.get("heirloom_generations{}")),
            (40.0, 2.0)
        );
        for (index, pid, _) in &workers {
            let own = |key: &&&str| {
                key.contains(&format!("worker=\"{index}\""))
                    && key.contains(&format!("pid=\"{pid}\""))
            };
            let infos = now.keys("heirloom_generation_info{");
            let info =
                infos.iter().find(own).unwrap_or_else(|| panic!("no worker {index}: {infos:?}"));
            assert!(info.contains("phase=\"serving\""), "{info}");
            for gauge in ["heirloom_resident_bytes", "heirloom_descriptors"] {
                let key = format!("{gauge}{{generation=\"0\",worker=\"{index}\"}}");
                assert!(now.get(&key) > 1.0, "{key}");
            }
            assert_eq!(now.get(&format!("lab_generation{{worker=\"{index}\"}}")), 0.0);
        }
    }
}
