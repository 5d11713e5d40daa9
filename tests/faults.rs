//! Every step of a restart, at which either side dies, hangs or talks nonsense, by both engines, under
//! load: afterwards one generation accepts, nothing is left over, and the next restart works.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::{
    Client, DEADLINE, Dir, open_fds,
    ops::{names, newcomer, restart_to_the_end, stopped, wait_settled},
    restart::{Engine, Lab, resume, wait_for_events},
    wait_for,
};

/// The steps in the order in which they are taken, as `restart::fault` names them; those of a roll back
/// come after the others. Who dies after one of the last two was the only one left, by agreement.
const STEPS: [&str; 14] = [
    "OldMade",
    "OldHanded",
    "OldReady",
    "OldReleased",
    "OldCommitted",
    "NewMade",
    "NewClaimed",
    "NewTaken",
    "NewReady",
    "NewReleased",
    "NewServing",
    "NewHandedBack",
    "OldResumed",
    "NewCommitted",
];

const FAULTS: [&str; 3] = ["die", "hang", "garbage"];

const READY: Duration = Duration::from_millis(600);
const PROBATION: Duration = Duration::from_millis(100);

/// Clients that come and go, and in the move mode those that stay.
const CHURN: usize = 2;
const HELD: usize = 5;

#[test]
fn after_any_fault_at_any_step_one_generation_accepts() {
    walk_all(false);
}

#[test]
fn after_any_fault_at_any_step_of_a_move_one_generation_accepts() {
    walk_all(true);
}

/// A server for each engine and fault, all at the same time.
fn walk_all(moves: bool) {
    thread::scope(|scope| {
        for engine in [Engine::Fork, Engine::ForkExec] {
            for fault in FAULTS {
                scope.spawn(move || Walk::begin(engine, fault, moves).walk());
            }
        }
    });
}

struct Walk {
    lab: Lab,
    engine: Engine,
    fault: &'static str,
    moves: bool,
    /// Where the control socket is, and the file that asks for a fault.
    files: Dir,
    /// Descriptors of a process that has nobody to serve.
    fds: usize,
}

impl Walk {
    fn begin(engine: Engine, fault: &'static str, moves: bool) -> Walk {
        let files = Dir::new();
        let control = files.path("control").display().to_string();
        let lab = Lab::with(|mut setup| {
            if moves {
                setup = setup.env("LAB_MOVE", 1);
            }
            setup
                .arg("--control")
                .arg(control)
                .env("HEIRLOOM_FAULT", files.path("fault").display())
                .env("LAB_READY", READY.as_millis())
                .env("LAB_PROBATION", PROBATION.as_millis())
        });
        wait_for_events(lab.pid());
        let fds = open_fds(lab.pid());
        Walk { lab, engine, fault, moves, files, fds }
    }

    fn walk(mut self) {
        for step in STEPS {
            let moving = matches!(step, "NewTaken");
            let exec = matches!(step, "OldHanded" | "NewTaken");
            if (exec && self.engine == Engine::Fork) || (moving && !self.moves) {
                continue;
            }
            let name = format!("{step} {} by {:?}, move: {}", self.fault, self.engine, self.moves);
            println!("{name}");
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.take(step)));
            match caught {
                Ok(Left::Server) => {}
                Ok(Left::Nobody) => self = Walk::begin(self.engine, self.fault, self.moves),
                Err(why) => {
                    eprintln!("--- {name}: the log:\n{}", self.lab.log());
                    std::panic::resume_unwind(why);
                }
            }
        }
    }

    /// One restart with a fault, and one without.
    fn take(&mut self, step: &str) -> Left {
        let traffic = Churn::start(&self.lab.address);
        let held = if self.moves { HELD } else { 0 };
        let mut held: Vec<_> = (0..held).map(|_| self.lab.connect()).collect();
        held.iter_mut().for_each(|client| drop(client.who()));
        if matches!(step, "NewHandedBack" | "OldResumed") {
            self.lab.break_programs("roll back");
        }
        let file = self.files.path("fault");
        fs::write(&file, format!("{step} {}", self.fault)).expect("a file of ours");
        self.lab.signal(self.engine.signal());
        wait_for(&format!("the fault after {step}"), || !file.exists());
        if ["OldResumed", "NewCommitted"].contains(&step) && self.fault == "die" {
            held.clear(); // an old side that has retired waits for them
            if self.has_crashed() {
                return Left::Nobody;
            }
        }
        if self.fault == "hang" {
            self.continue_hung(step);
        }
        if matches!(step, "NewHandedBack" | "OldResumed") {
            self.lab.mend_programs();
        }
        // A new side that has said nonsense may take a client before that is heard.
        let address = self.lab.address.parse().expect("an address of digits");
        wait_for("a client to be served", || converse(address).is_ok());
        for client in held {
            self.assert_kept(step, client);
        }
        let failed = traffic.stop();
        let killed = self.fault != "garbage" || step.starts_with("New");
        assert!(failed.is_empty() || killed, "nobody was killed: {failed:?}");
        let cut = |why: &String| why.starts_with("cut");
        assert!(failed.iter().all(cut) && failed.len() <= CHURN, "{failed:?}");
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
            // A new program has nothing yet, or is being given it.
            || (self.engine == Engine::ForkExec && ["OldMade", "OldHanded"].contains(&step));
        if alone {
            wait_for("the hung one", || !stopped(&self.lab).is_empty());
        } else {
            newcomer(&self.lab);
        }
        stopped(&self.lab).into_iter().for_each(resume);
    }

    /// Connections that move are lost only with a process that was killed while it had them.
    fn assert_kept(&self, step: &str, mut client: Client) {
        let new_had_them =
            ["NewReleased", "NewServing", "NewHandedBack", "NewCommitted"].contains(&step);
        let old_had_them = match step {
            "OldMade" | "OldHanded" => self.engine == Engine::ForkExec,
            _ => false,
        };
        let killed = match self.fault {
            "die" => new_had_them || old_had_them,
            "hang" => new_had_them,
            // It is found out, and killed, when it may have begun to serve.
            _ => new_had_them || step == "NewReady",
        };
        if !killed {
            client.who();
        }
    }

    /// The one that both have agreed upon has died. If the other one has heard of both at once, it has
    /// gone on; otherwise it leaves, and nobody serves any more.
    fn has_crashed(&self) -> bool {
        let address = self.lab.address.parse().expect("an address of digits");
        let mut crashed = false;
        wait_for("the other side to go on or to leave", || {
            crashed = self.lab.generations().is_empty();
            crashed || converse(address).is_ok()
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

/// Clients that connect, ask and go, all the time.
struct Churn {
    done: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Churn {
    fn start(address: &str) -> Churn {
        let address: SocketAddr = address.parse().expect("an address of digits");
        let done = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                let mut failed = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    failed.extend(converse(address).err());
                    thread::sleep(Duration::from_millis(5)); // a crowd, not a flood
                }
                failed
            })
        };
        let clients = (0..CHURN).map(client).collect();
        Churn { done, clients }
    }

    /// What has failed, in words; "cut" for those whose server ended.
    fn stop(self) -> Vec<String> {
        self.done.store(true, Ordering::Relaxed);
        let failed = self.clients.into_iter().map(|client| client.join().expect("no panic"));
        failed.flatten().collect()
    }
}

fn converse(address: SocketAddr) -> Result<(), String> {
    let told = |e: std::io::Error| match e.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "cut".to_owned(),
        kind => format!("{kind}: {e}"),
    };
    let stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(told)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(told)?;
    (&stream).write_all(b"echo all is well\n").map_err(told)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).map_err(told)?;
    match line.as_str() {
        "all is well\n" => Ok(()),
        "" => Err("cut".into()),
        other => Err(format!("wrong: {other:?}")),
    }
}
