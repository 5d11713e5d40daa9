//! The callbacks of a restart come in the order of the table in the documentation of `Service`, line by line; and those
//! around a fork may refuse it, or panic.

mod common;

use std::{collections::BTreeMap, fs, process::Command};

use common::{
    Dir, Setup,
    restart::{Engine, Lab, resume, stop},
    wait_for,
};

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

    /// What one restart by `engine` has called in the old process and in the new one, once both have had as much as
    /// `expected`.
    fn restart(&self, engine: Engine, expected: &Row) -> (Vec<String>, Vec<String>) {
        let old = self.lab.pid();
        let begun = self.by_process();
        self.lab.signal(engine.signal());
        let both = || {
            let mut called = self.by_process();
            let before = begun.get(&old).map_or(0, Vec::len);
            let in_old = called.remove(&old).unwrap_or_default().split_off(before);
            let in_new = called.into_iter().find(|(pid, _)| !begun.contains_key(pid));
            (in_old, in_new.map_or(Vec::new(), |(_, names)| names))
        };
        wait_for(&expected.restart, || {
            let (in_old, in_new) = both();
            in_old.len() >= expected.in_old.len() && in_new.len() >= expected.in_new.len()
        });
        both()
    }
}

/// A line of the table.
#[derive(Debug)]
struct Row {
    restart: String,
    in_old: Vec<String>,
    in_new: Vec<String>,
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

#[test]
fn every_line_of_the_table_is_true() {
    let rows = table();
    assert!(rows.len() >= 11, "the table has another form: {rows:?}");
    for row in &rows {
        let engine =
            if row.restart.starts_with("fork-exec") { Engine::ForkExec } else { Engine::Fork };
        let failed = match engine {
            Engine::Fork => "refuse in after_fork_in_child",
            Engine::ForkExec => "panic in load",
        };
        let what = row.restart.split_once(", ").map_or("", |(_, what)| what);
        let (how, probation) = match what {
            "" => ("", SHORT),
            "refused by `before_fork`" | "with `or_fork_exec` and refused" => {
                ("refuse in before_fork", SHORT)
            }
            "failed before it is ready" => (failed, SHORT),
            "failed in the system" => ("", SHORT),
            "died in its probation" => ("abort", LONG),
            "rolled back" => ("roll back", LONG),
            other => panic!("no such restart: {other}"),
        };
        let or_fork_exec = what == "with `or_fork_exec` and refused";
        let called = Called::with(probation, |setup| match or_fork_exec {
            true => setup.env("LAB_OR_FORK_EXEC", 1),
            false => setup,
        });
        if !how.is_empty() {
            called.lab.break_programs(how);
        }
        if what == "failed in the system" {
            limit_descriptors(called.lab.pid(), 3);
        }
        let (in_old, in_new) = called.restart(engine, row);
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
