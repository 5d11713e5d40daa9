//! Every step of a restart, at which either side dies, hangs or talks nonsense, by both engines, under
//! load: afterwards one generation accepts, nothing is left over, and the next restart works.

use std::{fs, thread, time::Duration};

use crate::common::{
    Dir,
    churn::{Churn, LAB, assert_only_cut, converse_with_lab},
    held::{self, Held},
    open_fds,
    ops::{names, restart_to_the_end, wait_settled},
    restart::{Engine, Lab, fds_at_rest, is_stopped},
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The steps in the order in which they are taken, as `restart::fault` names them; those of a roll back
/// come after the others. Who dies after one of the last two was the only one left, by agreement, and so was an
/// old side that has not handed over its state.
const STEPS: [&str; 29] = [
    "OldMade",
    "OldOffered",
    "OldSaving",
    "OldStill",
    "OldCopying",
    "ScribeMade",
    "NewLoading",
    "NewLoaded",
    "OldLoaded",
    "OldRound",
    "NewApplied",
    "OldSaved",
    "OldHanded",
    "OldReady",
    "OldRetiring",
    "OldReleased",
    "OldCommitted",
    "NewMade",
    "NewClaimed",
    "NewTaken",
    "NewReady",
    "NewReleased",
    "NewServing",
    "NewSavedBack",
    "NewHandedBack",
    "OldTakenBack",
    "NewReturned",
    "OldResumed",
    "NewCommitted",
];

/// Those that only fork-exec has: the state is copied, and what changes meanwhile.
const COPY: [&str; 12] = [
    "OldOffered",
    "OldSaving",
    "OldStill",
    "OldCopying",
    "ScribeMade",
    "NewLoading",
    "NewLoaded",
    "OldLoaded",
    "OldRound",
    "NewApplied",
    "OldSaved",
    "OldHanded",
];

/// Those of a roll back.
const BACK: [&str; 5] =
    ["NewSavedBack", "NewHandedBack", "OldTakenBack", "NewReturned", "OldResumed"];

const FAULTS: [&str; 3] = ["die", "hang", "garbage"];

const READY: Duration = Duration::from_secs(1);
const PROBATION: Duration = Duration::from_millis(100);

/// In the move mode, clients that stay.
const HELD: usize = 5;

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn scenario_03_a_fault_at_every_step() {
    walk_all(Mode::Stay);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn scenario_03_a_fault_at_every_step_of_a_move() {
    walk_all(Mode::Move);
}

/// No client may ever hear a record twice, and no process seal one by a nonce that another one has used.
#[test]
#[cfg(feature = "tls")]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn scenario_03_a_fault_at_every_step_of_a_move_with_tls() {
    walk_all(Mode::Tls);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn scenario_03_a_fault_at_every_step_of_a_copy_of_what_changes() {
    walk_all(Mode::Track);
}

/// What is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stay,
    /// Connections move.
    Move,
    /// They have TLS, and each is in the middle of a record.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    Tls,
    /// Connections move, and the service notes what changes.
    Track,
}

/// A server for each engine and fault, all at the same time.
fn walk_all(mode: Mode) {
    let engines = if mode == Mode::Track { &[Engine::ForkExec][..] } else { &ENGINES };
    thread::scope(|scope| {
        for &engine in engines {
            for fault in FAULTS {
                scope.spawn(move || Walk::begin(engine, fault, mode).walk());
            }
        }
    });
}

const ENGINES: [Engine; 2] = [Engine::Fork, Engine::ForkExec];

struct Walk {
    lab: Lab,
    engine: Engine,
    fault: &'static str,
    mode: Mode,
    /// Who connects to it as those who are held.
    held: held::Connecting,
    /// Where the control socket is, and the file that asks for a fault.
    files: Dir,
    /// Descriptors of a process that has nobody to serve.
    fds: usize,
}

impl Walk {
    fn begin(engine: Engine, fault: &'static str, mode: Mode) -> Walk {
        let files = Dir::new();
        let control = files.path("control").display().to_string();
        let held = held::Connecting::new(mode == Mode::Tls);
        let lab = Lab::with(|setup| {
            let mut setup = held.adjust(setup);
            if mode != Mode::Stay {
                setup = setup.env("LAB_MOVE", 1);
            }
            if mode == Mode::Track {
                setup = setup.env("LAB_TRACK", 1);
            }
            setup
                .arg("--control")
                .arg(control)
                .env("HEIRLOOM_FAULT", files.path("fault").display())
                .env("LAB_READY", READY.as_millis())
                .env("LAB_COPY", READY.as_millis())
                .env("LAB_PROBATION", PROBATION.as_millis())
        });
        let fds = fds_at_rest(lab.pid());
        Walk { lab, engine, fault, mode, held, files, fds }
    }

    fn walk(mut self) {
        let mut by_several = false;
        for step in STEPS {
            let (moving, copying) = (step == "NewTaken", COPY.contains(&step));
            let changing = matches!(step, "OldRound" | "NewApplied");
            if ((copying || moving) && self.engine == Engine::Fork)
                || (moving && self.mode == Mode::Stay)
                || (changing && self.mode != Mode::Track)
                // The others go on as without changes.
                || (!copying && self.mode == Mode::Track)
            {
                continue;
            }
            let name = format!("{step} {} by {:?}, {:?}", self.fault, self.engine, self.mode);
            println!("{name}");
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.take(step)));
            let left = caught.unwrap_or_else(|why| {
                eprintln!("--- {name}: the log:\n{}", self.lab.log());
                std::panic::resume_unwind(why);
            });
            by_several |= self.held.check();
            if let Left::Nobody = left {
                self = Walk::begin(self.engine, self.fault, self.mode);
            }
        }
        assert_eq!(by_several, self.mode == Mode::Tls, "processes that have sealed by one key");
    }

    /// One restart with a fault, and one without.
    fn take(&mut self, step: &str) -> Left {
        let traffic = Churn::start(&self.lab.address, LAB);
        let held = if self.mode == Mode::Stay { 0 } else { HELD };
        let mut held: Vec<_> = (0..held).map(|_| self.held.connect(&self.lab)).collect();
        held.iter_mut().for_each(Held::begin);
        if BACK.contains(&step) {
            self.lab.break_programs("roll back");
        }
        let file = self.files.path("fault");
        fs::write(&file, format!("{step} {}", self.fault)).expect("a file of ours");
        self.lab.signal(self.engine.signal());
        wait_for(&format!("the fault after {step}"), || !file.exists());
        if (["OldResumed", "NewCommitted"].contains(&step) || self.has_nothing_yet(step))
            && self.fault == "die"
        {
            held.clear(); // an old side that has retired waits for them
            if self.has_crashed() {
                return Left::Nobody;
            }
        }
        if self.fault == "hang" {
            self.continue_hung(step);
        }
        if BACK.contains(&step) {
            self.lab.mend_programs();
        }
        self.wait_served();
        for client in held {
            self.assert_kept(step, client);
        }
        let failed = traffic.stop();
        let killed = self.fault != "garbage" || step.starts_with("New");
        assert!(failed.total() == 0 || killed, "nobody was killed: {failed:?}");
        assert_only_cut(&failed);
        let who = wait_settled(&self.lab);
        wait_for("descriptors to be given back", || open_fds(who.pid) == self.fds);
        assert_eq!(names(&self.files.path("")), ["control"]);
        assert_eq!(names(&self.lab.dir.path("")), ["pid"]);
        restart_to_the_end(&self.lab, self.engine);
        Left::Server
    }

    /// The other side does what it can about the hung one, and then that goes on.
    fn continue_hung(&self, step: &str) {
        let alone = ["OldCommitted", "NewCommitted", "OldResumed"].contains(&step)
            || self.has_nothing_yet(step)
            // It is being given it.
            || (self.engine == Engine::ForkExec && ["OldSaved", "OldHanded"].contains(&step));
        if !alone {
            self.wait_served();
        }
        let hung = self.hung(step);
        wait_for("the hung one to stop, or to be killed for it", || {
            is_stopped(hung) || !self.lab.generations().contains(&hung)
        });
        let _ = kill(Pid::from_raw(hung), Signal::SIGCONT); // which may be killed this very moment
    }

    /// At this step a new program has not been given the state. Without the old side there is nothing that
    /// it could serve.
    fn has_nothing_yet(&self, step: &str) -> bool {
        const BEFORE: [&str; 7] = [
            "OldMade",
            "OldOffered",
            "OldSaving",
            "OldStill",
            "OldCopying",
            "OldLoaded",
            "OldRound",
        ];
        self.engine == Engine::ForkExec && BEFORE.contains(&step)
    }

    /// The process that has said that it will stop; it may not have done so yet.
    fn hung(&self, step: &str) -> i32 {
        let line = self.lab.wait_line(&format!("WARN: fault on request after {step}: hang"));
        let (before, _) = line.split_once("] WARN: fault on").expect("what was waited for");
        let pid = before.rsplit('[').next().and_then(|pid| pid.parse().ok());
        pid.unwrap_or_else(|| panic!("no pid in {line:?}"))
    }

    /// The one that is asked may be killed for what it said.
    fn wait_served(&self) {
        let address = self.lab.address.parse().expect("an address of digits");
        wait_for("somebody to answer", || converse_with_lab(address).is_ok());
    }

    /// Connections that move are lost only with a process that was killed while it had them.
    fn assert_kept(&self, step: &str, client: Held) {
        let new_had_them =
            ["NewReleased", "NewServing", "NewSavedBack", "NewCommitted"].contains(&step);
        let old_had_them = match step {
            "OldMade" | "OldSaved" | "OldHanded" => self.engine == Engine::ForkExec,
            "OldTakenBack" => true,
            _ => false,
        };
        let killed = match self.fault {
            "die" => new_had_them || old_had_them,
            // What has said that it could serve, and does nothing, is killed with what it was given.
            "hang" => new_had_them || step == "OldTakenBack",
            // It is found out, and killed, when it may have begun to serve.
            _ => new_had_them || step == "NewReady",
        };
        client.end(killed);
    }

    /// The one that both have agreed upon has died. If the other one has heard of both at once, it has
    /// gone on; otherwise it leaves, and nobody serves any more.
    fn has_crashed(&self) -> bool {
        let address = self.lab.address.parse().expect("an address of digits");
        let mut crashed = false;
        wait_for("the other side to go on or to leave", || {
            crashed = self.lab.generations().is_empty();
            crashed || converse_with_lab(address).is_ok()
        });
        if crashed {
            assert_eq!(names(&self.lab.dir.path("")), ["pid"]);
        }
        crashed
    }
}

/// What there is after a fault.
enum Left {
    Server,
    Nobody,
}
