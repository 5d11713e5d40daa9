//! The callbacks of a restart come in the order of the table in the documentation of `Service`, line by line; and those
//! around a fork may refuse it, or panic.

use std::{collections::BTreeMap, fs, process::Command};

use crate::common::{
    Client, Dir, Setup,
    restart::{Engine, Lab, resume, slay, stop, tell},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::SIGTERM;

/// Ends a probation that is to be survived, in milliseconds; and one in which something happens.
const SHORT: u64 = 50;
const LONG: u64 = 20_000;

/// A lab whose generations write down what is called.
struct Called {
    lab: Lab,
    dir: Dir,
}

impl Called {
    fn with(probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Called {
        let dir = Dir::new();
        let path = dir.path("callbacks");
        let setup = |setup: Setup| {
            setup.env("LAB_CALLBACKS", path.display()).env("LAB_PROBATION", probation)
        };
        Called { lab: Lab::with(|it| adjust(setup(it))), dir }
    }

    /// What was called, by process.
    fn by_process(&self) -> BTreeMap<i32, Vec<String>> {
        let text = fs::read_to_string(self.dir.path("callbacks")).unwrap_or_default();
        let mut called: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let (pid, name) = line.trim_end().split_once(' ').expect("a process and a name");
            called.entry(pid.parse().expect("a pid")).or_default().push(name.to_owned());
        }
        called
    }
}

/// A line of the table.
#[derive(Debug)]
struct Row {
    restart: String,
    in_old: Vec<String>,
    in_new: Vec<String>,
}

impl Row {
    /// How it goes on from the restart's beginning.
    fn what(&self) -> &str {
        let what = self.restart.split_once(", ").map_or("", |(_, what)| what);
        let known = [
            "",
            "refused by `before_fork`",
            "with `or_fork_exec` and refused",
            "failed in the system",
            "failed before it is ready",
            "died in its probation",
            "rolled back",
            "stopped before it is ready",
            "stopped in its probation",
            "stopped later",
            "stopped",
            "stopped at once",
        ];
        assert!(known.contains(&what), "no such restart: {what}");
        what
    }
}

fn table() -> Vec<Row> {
    let text = include_str!("../src/service/order.md");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1); // the heading
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let [restart, in_old, in_new] = cells[..] else { panic!("{line:?}") };
        Row { restart: restart.trim().to_owned(), in_old: names(in_old), in_new: names(in_new) }
    })
    .collect()
}

/// How many descriptors a process may have.
fn limit_descriptors(pid: i32, limit: u64) {
    let flag = format!("--nofile={limit}:");
    let status = Command::new("prlimit").arg("--pid").arg(pid.to_string()).arg(flag).status();
    assert!(status.expect("prlimit runs").success());
}

/// A line of the table, as it happens.
struct Story {
    called: Called,
    engine: Engine,
    old: i32,
    /// Who was called before.
    begun: BTreeMap<i32, Vec<String>>,
    /// One for each process that is to leave. It stays until the process has told it so.
    clients: Vec<Client>,
}

impl Story {
    fn begin(row: &Row) -> Story {
        let engine =
            if row.restart.starts_with("fork-exec") { Engine::ForkExec } else { Engine::Fork };
        let probation = match row.what() {
            "" | "stopped later" | "with `or_fork_exec` and refused" => SHORT,
            _ => LONG,
        };
        let or_fork_exec = row.what() == "with `or_fork_exec` and refused";
        let called = Called::with(probation, |setup| match or_fork_exec {
            true => setup.env("LAB_OR_FORK_EXEC", 1),
            false => setup,
        });
        let (old, mut client) = (called.lab.pid(), called.lab.connect());
        assert_eq!(client.who().pid, old);
        let begun = called.by_process();
        Story { called, engine, old, begun, clients: vec![client] }
    }

    /// What was called since in the old process and in the new one.
    fn both(&self) -> (Vec<String>, Vec<String>) {
        let mut called = self.called.by_process();
        called.values_mut().for_each(|names| names.retain(|name| name != "on_close"));
        let before = self.begun.get(&self.old).map_or(0, Vec::len);
        let in_old = called.remove(&self.old).unwrap_or_default().split_off(before);
        let in_new = called.into_iter().find(|(pid, _)| !self.begun.contains_key(pid));
        (in_old, in_new.map_or(Vec::new(), |(_, names)| names))
    }

    /// Waits until the new process has been told this.
    fn wait_new(&self, name: &str) {
        wait_for(name, || self.both().1.iter().any(|called| called.starts_with(name)));
    }

    /// Somebody comes to the new process, which serves by now. Answers its pid.
    fn come_late(&mut self) -> i32 {
        self.wait_new("on_start");
        let mut late = self.called.lab.connect();
        let who = late.who();
        assert_ne!(who.pid, self.old);
        self.clients.push(late);
        who.pid
    }

    fn happen(&mut self, row: &Row) {
        let lab = &self.called.lab;
        let failed = match self.engine {
            Engine::Fork => "refuse in after_fork_in_child",
            Engine::ForkExec => "panic in load",
        };
        match row.what() {
            "refused by `before_fork`" | "with `or_fork_exec` and refused" => {
                lab.break_programs("refuse in before_fork");
            }
            "failed before it is ready" => lab.break_programs(failed),
            "failed in the system" => limit_descriptors(self.old, 3),
            "died in its probation" => lab.break_programs("abort"),
            "stopped before it is ready" => {
                let step =
                    if self.engine == Engine::Fork { "NewClaimed hang" } else { "NewTaken hang" };
                fs::write(lab.scratch("fault"), step).expect("a file");
            }
            _ => {}
        }
        if !row.restart.starts_with("none") {
            lab.signal(self.engine.signal());
        }
        match row.what() {
            "rolled back" => {
                self.come_late();
                self.clients[1].send("roll-back as told\n");
            }
            "stopped before it is ready" => {
                self.wait_new(if self.engine == Engine::Fork { "after_fork" } else { "load" });
                tell(self.old, SIGTERM);
            }
            "stopped in its probation" => {
                self.come_late();
                tell(self.old, SIGTERM);
            }
            "stopped later" => {
                let new = self.come_late();
                wait_for("the old process to be replaced", || {
                    self.both().0.iter().any(|name| name == "on_drain(Restart)")
                });
                tell(new, SIGTERM);
            }
            "stopped" => tell(self.old, SIGTERM),
            "stopped at once" => self.clients[0].send("stop\n"),
            _ => {}
        }
    }

    /// What all of it has called.
    fn end(mut self, row: &Row) -> (Vec<String>, Vec<String>) {
        let told = |names: &[String]| names.iter().filter(|name| *name != "on_end").count();
        wait_for(&row.restart, || {
            let (in_old, in_new) = self.both();
            told(&in_old) >= told(&row.in_old) && told(&in_new) >= told(&row.in_new)
        });
        if !row.in_old.iter().any(|name| name == "on_end") {
            self.clients[0].who(); // it has done what it had to do in that turn
        }
        self.clients.clear();
        // From here on nobody is called who does not serve.
        let serving = usize::from(!row.what().starts_with("stopped"));
        wait_for(&row.restart, || self.called.lab.generations().len() == serving);
        self.both()
    }
}

#[test]
fn every_line_of_the_table_is_true() {
    let rows = table();
    assert_eq!(rows.len(), 19, "the table has another form: {rows:?}");
    for row in &rows {
        let mut story = Story::begin(row);
        story.happen(row);
        let (in_old, in_new) = story.end(row);
        assert_eq!((&in_old, &in_new), (&row.in_old, &row.in_new), "{}", row.restart);
    }
}

/// The service may need for that what it closes for the fork.
#[test]
fn who_has_ended_is_told_before_the_fork_is_prepared() {
    let called = Called::with(SHORT, |setup| setup);
    let (mut asks, mut goes, old) = (called.lab.connect(), called.lab.connect(), called.lab.pid());
    assert_eq!(asks.who(), goes.who());
    stop(old); // so that it hears both in one turn
    asks.send("restart fork\n");
    goes.send("close\n");
    resume(old);
    assert!(asks.line().starts_with("ok 1 "));
    let expected = ["on_start(Fresh)", "on_close", "before_fork", "after_fork_in_parent"];
    assert_eq!(called.by_process()[&old][..4], expected);
}

/// By the words of the service, and the next one is made.
#[test]
fn before_fork_refuses_with_its_reason() {
    let lab = Lab::start();
    let mut client = lab.connect();
    lab.break_programs("refuse in before_fork");
    assert_eq!(client.ask("restart fork"), "error fork refused by before_fork: lab: as told");
    lab.mend_programs();
    assert!(client.ask("restart fork").starts_with("ok 1 "));
}

/// What has been closed for the fork is open again, and connections that were to move are served.
#[test]
fn a_child_that_cannot_go_on_changes_nothing() {
    for moves in [false, true] {
        let lab = Lab::with(|setup| if moves { setup.env("LAB_MOVE", 1) } else { setup });
        let mut client = lab.connect();
        let old = client.who();
        lab.break_programs("refuse in after_fork_in_child");
        let failed = "error restart: the new side failed: after_fork_in_child: lab: as told";
        assert_eq!(client.ask("restart fork"), failed);
        lab.break_programs("panic in after_fork_in_child");
        let said = client.ask("restart fork");
        let failed =
            "error restart: the new side failed: panicked: after_fork_in_child: lab: as told";
        assert!(said.starts_with(failed), "{said}");
        assert_eq!((client.who(), lab.connect().who()), (old.clone(), old));
        lab.mend_programs();
        assert!(client.ask("restart fork").starts_with("ok 1 "));
    }
}

#[test]
fn a_panic_in_the_parent_costs_nothing_and_one_before_the_fork_refuses_it() {
    let lab = Lab::start();
    let mut client = lab.connect();
    lab.break_programs("panic in before_fork");
    let said = client.ask("restart fork");
    let refused = "error fork refused by before_fork: panicked: before_fork: lab: as told";
    assert!(said.starts_with(refused), "{said}");
    lab.break_programs("panic in after_fork_in_parent");
    assert!(client.ask("restart fork").starts_with("ok 1 "));
    lab.wait_line("panicked: after_fork_in_parent: lab: as told");
    assert_eq!(client.stat("panics"), 2);
}

/// Another generation's words: an old process hears them when it has retired, a new one from its start on, and what comes
/// back is told before the end.
#[test]
fn words_come_between_the_start_and_the_end() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let called = Called::with(SHORT, |setup| setup.env("LAB_TELLS", 1));
        let (old, mut client) = (called.lab.pid(), called.lab.connect());
        assert_eq!(client.who().pid, old);
        let new = called.lab.restart_by(engine);
        let place = |pid: i32, name: &str| {
            let names = called.by_process().remove(&pid).unwrap_or_default();
            names.iter().position(|it| it.starts_with(name))
        };
        wait_for("the new one's word", || place(old, "on_word").is_some());
        assert!(place(old, "on_retire") < place(old, "on_word"));
        assert_eq!(client.ask("word 1 hello"), "ok");
        wait_for("the old one's word", || place(new, "on_word").is_some());
        assert!(place(new, "on_start") < place(new, "on_word"));
        stop(new);
        assert_eq!(client.ask("word 1 hello"), "ok");
        drop(client);
        slay(new);
        wait_gone(old);
        assert!(place(old, "on_word") < place(old, "on_undelivered"));
        assert!(place(old, "on_undelivered") < place(old, "on_end"));
    }
}
