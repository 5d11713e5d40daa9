//! Real database clients in a server that is forked: each process has its own connections, and says nothing on the
//! other's. What these tests need is not everywhere: `cargo test --features postgres --test promises clients:: -- --ignored`.

use crate::common::{Client, Server, postgres::Postgres, redis::Redis, wait_for, wait_gone};
use nix::sys::signal::Signal;

/// Its row is there although a new process has come, has asked, and has ended in the meantime.
#[test]
#[ignore = "needs postgresql"]
fn a_transaction_outlives_a_fork() {
    let postgres = Postgres::start();
    let server = Server::of("clients").env("CLIENTS_POSTGRES", postgres.address()).start();
    let mut of_old = server.connect();
    let backend = of_old.ask("sql SELECT pg_backend_pid()");
    assert_eq!(of_old.ask("sql CREATE TABLE ledger (amount int)"), "ok");
    assert_eq!(of_old.ask("sql BEGIN"), "ok");
    assert_eq!(of_old.ask("sql INSERT INTO ledger VALUES (7)"), "ok");
    let first = server.restart(Signal::SIGHUP);
    let mut of_new = server.connect();
    assert_ne!(of_new.ask("sql SELECT pg_backend_pid()"), backend);
    assert_eq!(of_new.ask("sql SELECT count(*) FROM ledger"), "0");
    // The one that ends has both, the forgotten one and its own.
    server.restart(Signal::SIGHUP);
    drop(of_new);
    wait_gone(first);
    assert_eq!(of_old.ask("sql SELECT pg_backend_pid()"), backend);
    assert_eq!(of_old.ask("sql COMMIT"), "ok");
    assert_eq!(server.connect().ask("sql SELECT sum(amount) FROM ledger"), "7");
}

/// The database sees each process go when it goes, and not when its last relative does.
#[test]
#[ignore = "needs postgresql"]
fn the_database_sees_who_has_gone() {
    let postgres = Postgres::start();
    let server = Server::of("clients").env("CLIENTS_POSTGRES", postgres.address()).start();
    let (mut of_old, old) = (server.connect(), server.pid());
    assert_eq!(of_old.ask("sql SELECT 1"), "1");
    server.restart(Signal::SIGHUP);
    let mut of_new = server.connect();
    let clients = "sql SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    assert_eq!(of_new.ask(clients), "2");
    drop(of_old);
    wait_gone(old);
    wait_for("the database to have one client", || of_new.ask(clients) == "1");
}

/// What two processes ask at the same time is answered to the one that has asked.
#[test]
#[ignore = "needs redis-server"]
fn answers_do_not_cross_over() {
    let redis = Redis::start();
    let server = Server::of("clients").env("CLIENTS_REDIS", redis.address()).start();
    let mut of_old = server.connect();
    assert_eq!(of_old.ask("redis ECHO one"), "bulk-string('\"one\"')");
    let number = of_old.ask("redis CLIENT ID");
    server.restart(Signal::SIGHUP);
    let mut of_new = server.connect();
    assert_ne!(of_new.ask("redis CLIENT ID"), number);
    let echo = |client: &mut Client, word: String| {
        client.send(format!("redis ECHO {word}\n"));
        word
    };
    for n in 0..200 {
        let ours = echo(&mut of_old, format!("old-{n}"));
        let theirs = echo(&mut of_new, format!("new-{n}"));
        assert!(of_old.line().contains(&ours) && of_new.line().contains(&theirs));
    }
    assert_eq!(of_old.ask("redis CLIENT ID"), number);
}
