//! A roll back is a restart in the other direction: what the new side has accepted, its clients have been told
//! and its alarms are is with the old one afterwards, and so are the very connections that move.

mod common;
#[path = "../examples/lab/pattern.rs"]
mod pattern;

use common::{
    Client, Setup,
    ops::{Operated, Running, newcomer, wait_settled},
    restart::Engine,
    wait_for, wait_gone,
};

/// Longer than any of these tests: no commit comes by itself.
const LONG: u64 = 60_000;

/// What is different about labs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    engine: Engine,
    moves: bool,
    tracks: bool,
}

/// All of them.
fn modes() -> impl Iterator<Item = Mode> {
    let engines = [Engine::Fork, Engine::ForkExec].into_iter();
    let moving = |engine| [true, false].map(|moves| (engine, moves));
    let tracking = |(engine, moves)| [true, false].map(|tracks| Mode { engine, moves, tracks });
    engines.flat_map(moving).flat_map(tracking)
}

impl Mode {
    fn setup(self, mut setup: Setup) -> Setup {
        if self.moves {
            setup = setup.env("LAB_MOVE", 1);
        }
        if self.tracks {
            setup = setup.env("LAB_TRACK", 1);
        }
        setup.env("LAB_IDLE", 600_000)
    }

    fn lab(self) -> Operated {
        Operated::with(LONG, |setup| self.setup(setup))
    }

    /// Whether what the new side has accepted comes back.
    fn returns_state(self) -> bool {
        self.moves || self.tracks
    }
}

/// A restart up to where the new side serves. Whoever waits for its verdict, and the new pid.
fn begin(lab: &Operated, engine: Engine) -> (Running, i32) {
    let old = lab.pid();
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    let mut new = old;
    wait_for("the new side to serve", || {
        new = newcomer(lab).pid;
        new != old
    });
    (restart, new)
}

/// Who asks for a roll back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Operator,
    Service,
}

fn roll_back(lab: &Operated, restart: Running, asker: Asker) {
    match asker {
        Asker::Operator => {
            let ran = lab.heirloom(&["rollback"]);
            assert_eq!(ran.status, Some(0), "{ran:?}\n{}", lab.log());
            assert!(ran.out.ends_with("serves again\n"), "{ran:?}");
        }
        Asker::Service => assert_eq!(lab.connect().ask("roll-back unfit"), "ok"),
    }
    let ran = restart.wait();
    let why = if asker == Asker::Operator { "on request" } else { "unfit" };
    assert_eq!(ran.err, format!("heirloom: restart: rolled back: {why}\n"), "{}", lab.log());
}

#[test]
fn what_was_acknowledged_is_there_after_a_roll_back() {
    for mode in modes() {
        for asker in [Asker::Operator, Asker::Service] {
            println!("{mode:?} {asker:?}");
            let lab = mode.lab();
            let old = lab.pid();
            let mut early = lab.connect();
            assert_eq!(early.ask("put a before"), "ok");
            assert_eq!(early.ask("put b before"), "ok");
            let (restart, new) = begin(&lab, mode.engine);
            let mut late = lab.connect();
            assert_eq!(late.ask("put b during"), "ok");
            assert_eq!(late.ask("put c during"), "ok");
            roll_back(&lab, restart, asker);
            assert_eq!(newcomer(&lab).pid, old);
            let mut client = lab.connect();
            let got = ["a", "b", "c"].map(|key| client.ask(&format!("get {key}")));
            match mode.returns_state() {
                true => assert_eq!(got, ["before", "during", "during"], "{mode:?} {asker:?}"),
                false => assert_eq!(got, ["before", "before", ""], "{mode:?}: as at the copy"),
            }
            // The very connections, if they move: those that came to the new side, too.
            assert_eq!(early.who().pid, old);
            assert_eq!(late.who().pid, if mode.moves { old } else { new });
            drop((early, late, client));
            wait_gone(new);
            assert_eq!(wait_settled(&lab).pid, old);
        }
    }
}

fn read_pattern(client: &mut Client, seed: u64, position: u64, count: usize) {
    let mut expected = vec![0; count];
    pattern::fill(seed, position, &mut expected);
    let got = client.read_exact(count);
    let wrong = (0..count).find(|&at| got[at] != expected[at]);
    assert_eq!(wrong, None, "a byte of {count} from {position} on is wrong");
}
