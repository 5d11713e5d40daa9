//! Dials to names that have no connection yet when a restart begins: each ends once, in the process that it belongs to.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
};

use crate::common::{
    Client, DEADLINE,
    dns::Dns,
    fill_queue,
    restart::{Engine, Lab},
    wait_for, wait_gone,
};

for_both_engines!(
    a_name_that_is_looked_up_stays_with_the_process_that_asks_where_connections_stay,
    it_goes_along_where_connections_move_and_is_asked_for_anew,
    so_does_a_race_for_its_address,
    a_new_side_that_is_rolled_back_gives_it_back,
    a_new_side_that_is_not_wanted_changes_nothing,
);

const HOME: &str = "127.0.0.1";

struct World {
    dns: Dns,
    lab: Lab,
    target: TcpListener,
    port: u16,
}

impl World {
    fn new(moves: bool) -> World {
        let dns = Dns::start();
        dns.has("db.example.", &[HOME], 600);
        let lab = Lab::with(|setup| {
            let conf = std::env::temp_dir().join(format!("heirloom-conf-{}", dns.address.port()));
            fs::write(&conf, "search .\noptions timeout:30\n").expect("a file");
            let setup = setup
                .env("LAB_NAME_SERVERS", dns.address)
                .env("LAB_RESOLV_CONF", conf.display())
                .env("LAB_IF_SHARED", "refuse")
                .env("LAB_DIAL", 40_000)
                .env("LAB_PER_DESTINATION", 2);
            if moves { setup.env("LAB_MOVE", 1) } else { setup }
        });
        let target = TcpListener::bind((HOME, 0)).expect("a port");
        let port = target.local_addr().expect("its number").port();
        World { dns, lab, target, port }
    }

    /// Somebody has the lab dial, and waits.
    fn begin(&self) -> Client {
        let mut client = self.lab.connect();
        client.send(format!("dial_host db.example:{}\n", self.port));
        client
    }

    /// It stands. The process at its other end.
    fn dialed(&self) -> (TcpStream, i32) {
        let (mut stream, _) = self.target.accept().expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(b"who\n").expect("it takes it");
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).expect("an answer");
        let pid = answer.split(' ').nth(1).and_then(|pid| pid.parse().ok());
        (stream, pid.unwrap_or_else(|| panic!("who: {answer:?}")))
    }

    fn answer(&self) -> String {
        format!("dialed {HOME}:{}", self.port)
    }

    /// The name counts as long as it is dialed, and only then.
    fn may_dial_once_more(&self) {
        let mut client = self.begin();
        assert_eq!(client.line(), self.answer());
        let mut client = self.begin();
        assert!(client.line().starts_with("dial failed: quota exceeded"));
    }
}

fn a_name_that_is_looked_up_stays_with_the_process_that_asks_where_connections_stay(
    engine: Engine,
) {
    let world = World::new(false);
    let old = world.lab.pid();
    world.dns.hold();
    let (mut first, second) = (world.begin(), world.begin());
    world.dns.wait_asked("db.example.", 1);
    let new = world.lab.restart_by(engine);
    // Of the second nobody but the dial is left to keep the process.
    drop(second);
    assert_eq!(world.dns.asked("db.example."), 1);
    world.dns.release();
    assert_eq!(first.line(), world.answer());
    let dialed = [world.dialed(), world.dialed()];
    assert_eq!(dialed.each_ref().map(|(_, pid)| *pid), [old, old]);
    drop((first, dialed));
    wait_gone(old);
    assert_eq!(world.lab.connect().who().pid, new);
    world.may_dial_once_more_after_both();
}

impl World {
    /// Each process counts its own.
    fn may_dial_once_more_after_both(&self) {
        let mut first = self.begin();
        assert_eq!(first.line(), self.answer());
        self.may_dial_once_more();
    }
}

fn it_goes_along_where_connections_move_and_is_asked_for_anew(engine: Engine) {
    let world = World::new(true);
    world.dns.hold();
    let mut client = world.begin();
    world.dns.wait_asked("db.example.", 1);
    let new = world.lab.restart_by(engine);
    world.dns.wait_asked("db.example.", 2);
    let newer = world.lab.restart_by(engine);
    assert_ne!(new, newer);
    world.dns.wait_asked("db.example.", 3);
    world.dns.release();
    assert_eq!(client.line(), world.answer());
    let (_stream, pid) = world.dialed();
    assert_eq!(pid, newer);
    world.may_dial_once_more();
    // Nobody else has dialed.
    world.target.set_nonblocking(true).expect("an option");
    let (_once_more, _) = world.target.accept().expect("the one from above");
    assert!(world.target.accept().is_err());
}

fn so_does_a_race_for_its_address(engine: Engine) {
    let mut world = World::new(true);
    let full = TcpListener::bind(("127.0.0.2", 0)).expect("another address");
    world.port = full.local_addr().expect("its number").port();
    let _queued = fill_queue(&full);
    world.dns.has("db.example.", &["127.0.0.2"], 600);
    let mut client = world.begin();
    let connects = || {
        let sockets = fs::read_to_string("/proc/net/tcp").expect("a table");
        let end = format!(" 0200007F:{:04X} 02 ", world.port); // SYN_SENT
        sockets.contains(&end)
    };
    wait_for("an attempt to connect", connects);
    let old = world.lab.pid();
    let new = world.lab.restart_by(engine);
    wait_gone(old);
    wait_for("an attempt to connect", connects);
    // As if that had been said at last.
    drop(full);
    let answer = client.line();
    assert!(answer.starts_with("dial failed: connection refused: db.example:"), "{answer}");
    assert_eq!(world.lab.connect().who().pid, new);
}

fn a_new_side_that_is_rolled_back_gives_it_back(engine: Engine) {
    let world = World::new(true);
    let old = world.lab.pid();
    world.dns.hold();
    let mut client = world.begin();
    world.dns.wait_asked("db.example.", 1);
    world.lab.break_programs("roll back");
    world.lab.signal(engine.signal());
    world.lab.wait_line("rolled back: lab: as told");
    wait_for("the old side to serve", || world.lab.count_lines("ready: generation 0") == 2);
    world.lab.mend_programs();
    let asked = world.dns.asked("db.example.");
    wait_for("it to ask again", || world.dns.asked("db.example.") >= asked.max(2));
    world.dns.release();
    assert_eq!(client.line(), world.answer());
    let (_stream, pid) = world.dialed();
    assert_eq!(pid, old);
    world.may_dial_once_more();
}

fn a_new_side_that_is_not_wanted_changes_nothing(engine: Engine) {
    let world = World::new(true);
    let old = world.lab.pid();
    world.dns.hold();
    let mut client = world.begin();
    world.dns.wait_asked("db.example.", 1);
    let new = world.lab.hold(engine);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(new), nix::sys::signal::Signal::SIGKILL)
        .expect("it is there");
    world.lab.wait_line("restart: the new side ended before it was ready");
    world.dns.release();
    assert_eq!(client.line(), world.answer());
    let (_stream, pid) = world.dialed();
    assert_eq!(pid, old);
    assert_eq!(world.dns.asked("db.example."), 1);
}
