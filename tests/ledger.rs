//! A service with a real database restarts under load: what was acknowledged is in the file, once, and nothing is
//! written to a file that has no name any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::common::{
    Client, Dir, Server, Setup,
    ops::{Ran, heirloom},
    redis::Redis,
    restart::Engine,
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;
use rusqlite::Connection;

const CLIENTS: usize = 6;

const RESTARTS: usize = 20;

/// A client leaves after so many postings and comes again, to whoever serves then.
const STAY: usize = 40;

/// A ledger with a file and a control socket.
struct Ledger {
    server: Server,
    files: Dir,
}

impl Ledger {
    fn start(adjust: impl FnOnce(Setup) -> Setup) -> Ledger {
        let files = Dir::new();
        let setup = Server::of("ledger").env("LEDGER_FILE", files.path("book").display());
        let setup = setup.arg("--control").arg(files.path("control").display().to_string());
        Ledger { server: adjust(setup).start(), files }
    }

    /// Nobody has found anything that heirloom does not know, and the living write to files that have a name.
    fn assert_clean(&self, when: &str) {
        let check = heirloom(&self.files.path("control")).arg("check").output().expect("it runs");
        let check = Ran::of(check);
        assert!(check.out.ends_with("unknown    0\n"), "{when}: {check:?}");
        assert_eq!(deleted(self.server.pid()), Vec::<String>::new(), "{when}");
    }

    /// Ends it, and opens the file that it leaves.
    fn end(&self) -> Connection {
        let last = self.server.pid();
        self.server.signal(Signal::SIGTERM);
        wait_gone(last);
        let log = self.server.log();
        assert!(!log.contains("heirloom does not know") && !log.contains("the book: "), "{log}");
        Connection::open(self.files.path("book")).expect("a database")
    }
}

/// What a process has open of a book and has no name any more.
fn deleted(pid: i32) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = fds.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.display().to_string()));
    targets.filter(|target| target.contains("/book") && target.ends_with(" (deleted)")).collect()
}

/// Clients that post without a pause, and remember what was acknowledged.
struct Load {
    is_over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<BTreeMap<String, i64>>>,
}

impl Load {
    fn start(address: &str) -> Load {
        let (is_over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..CLIENTS).map(|number| {
            let (address, is_over, count) = (address.to_owned(), is_over.clone(), count.clone());
            thread::spawn(move || post_until(&is_over, &address, number, &count))
        });
        Load { clients: clients.collect(), is_over, count }
    }

    /// Waits until everybody could have posted some more.
    fn goes_on(&self) {
        let goal = self.count.load(Ordering::Relaxed) + 2 * CLIENTS;
        wait_for("postings to be acknowledged", || {
            let has_failed = self.clients.iter().any(JoinHandle::is_finished);
            assert!(!has_failed, "a client has failed");
            self.count.load(Ordering::Relaxed) >= goal
        });
    }

    /// All that was acknowledged: amounts by id.
    fn stop(self) -> BTreeMap<String, i64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().expect("no failure")).collect()
    }
}

/// Each answer has to be the balance that this client's account has by what it knows: nobody else pays into it.
fn post_until(
    is_over: &AtomicBool,
    address: &str,
    number: usize,
    count: &AtomicUsize,
) -> BTreeMap<String, i64> {
    let (mut acknowledged, mut balance) = (BTreeMap::new(), 0);
    let mut client = Client::connect(address);
    for posting in 1.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        if posting % STAY == 0 {
            client.finish();
            assert_eq!(client.read_to_end().expect("the server's FIN"), b"");
            client = Client::connect(address);
        }
        let (id, amount) = (format!("{number}-{posting}"), (posting % 97 + 1) as i64);
        balance += amount;
        let answer = client.ask(&format!("post bank client{number} {amount} {id}"));
        assert_eq!(answer, format!("ok {balance}"), "client {number}, posting {posting}");
        acknowledged.insert(id, amount);
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// The file is whole, and has what was acknowledged, each once, and nothing else.
fn assert_holds(book: &Connection, acknowledged: &BTreeMap<String, i64>) {
    let check: String =
        book.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
    let mut rows = book.prepare("SELECT id, amount FROM postings").expect("a table");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let rows: Vec<(String, i64)> = rows.collect::<rusqlite::Result<_>>().expect("rows");
    let in_file: BTreeMap<_, _> = rows.iter().cloned().collect();
    assert_eq!(in_file.len(), rows.len(), "a posting is there twice");
    let lost: Vec<_> = acknowledged.keys().filter(|id| !in_file.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    assert_eq!(in_file, *acknowledged);
    let sum: i64 = acknowledged.values().sum();
    let number = |sql| book.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(number("SELECT balance FROM accounts WHERE name = 'bank'"), -sum);
    assert_eq!(number("SELECT sum(balance) FROM accounts"), 0);
}

/// Restarts by both engines in turns while clients post, and answers what they were told.
fn restart_under_load(ledger: &Ledger) -> BTreeMap<String, i64> {
    let load = Load::start(&ledger.server.address);
    load.goes_on();
    for (round, engine) in Engine::alternating().take(RESTARTS).enumerate() {
        let old = ledger.server.pid();
        ledger.server.restart(engine.signal());
        load.goes_on();
        // The end of the other one is what takes a file away.
        wait_gone(old);
        load.goes_on();
        ledger.assert_clean(&format!("restart {round}, {engine:?}"));
    }
    load.stop()
}

#[test]
fn what_was_acknowledged_is_in_the_file_after_twenty_restarts() {
    let ledger = Ledger::start(|setup| setup);
    let acknowledged = restart_under_load(&ledger);
    assert_holds(&ledger.end(), &acknowledged);
    assert!(!ledger.files.path("book-wal").exists(), "the last one has closed it");
}

#[test]
fn and_where_the_connections_move() {
    let ledger = Ledger::start(|setup| setup.arg("--move"));
    let acknowledged = restart_under_load(&ledger);
    assert_holds(&ledger.end(), &acknowledged);
}

/// Asked again, it answers as before; another posting under the same id is refused, in whatever process.
#[test]
fn a_posting_is_made_once_however_often_it_is_asked_for() {
    let ledger = Ledger::start(|setup| setup);
    for engine in Engine::alternating().take(3) {
        let mut client = ledger.server.connect();
        assert_eq!(client.ask("post alice bob 5 first"), "ok 5");
        assert_eq!(client.ask("post alice bob 6 first"), "error: this id has another posting");
        assert_eq!(
            client.ask("post alice bob 0 second"),
            "error: the amount is a number from 1 to 4294967295"
        );
        assert_eq!(client.ask("balance alice"), "ok -5");
        assert_eq!(client.ask("total"), "ok 1 5");
        ledger.server.restart(engine.signal());
    }
}

/// In their order, whichever process has published it.
#[test]
#[ignore = "needs redis-server"]
fn every_posting_is_published_once() {
    let redis = Redis::start();
    let ledger = Ledger::start(|setup| setup.env("LEDGER_REDIS", redis.address()));
    let acknowledged = restart_under_load(&ledger);
    let book = ledger.end();
    assert_holds(&book, &acknowledged);
    let mut rows = book.prepare("SELECT id FROM postings ORDER BY seq").expect("a table");
    let rows = rows.query_map([], |row| row.get(0)).expect("rows");
    let made: Vec<String> = rows.collect::<rusqlite::Result<_>>().expect("rows");
    let entries = redis.connect().ask("XRANGE ledger:postings - +");
    let mut words = entries.split("\r\n").filter(|word| !word.starts_with(['$', '*']));
    let mut published = Vec::new();
    while words.by_ref().any(|word| word == "id") {
        published.push(words.next().expect("the id").to_owned());
    }
    assert_eq!(
        published.iter().collect::<BTreeSet<_>>().len(),
        published.len(),
        "one is there twice"
    );
    assert_eq!(published, made);
}
