//! What TLS connections cost that are idle, and that move. A release build of the lab has to be there:
//!
//! ```sh
//! cargo build --profile bench --features tls --example lab
//! cargo test --profile bench --features tls --test promises tls_cost:: -- --ignored --nocapture
//! ```

use std::{fs, net::TcpStream, sync::Arc};

use crate::common::{
    restart::Engine,
    tls::{BOTH, Secured, TlsClient},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many as there is room for, with some for the rest of the process.
fn count() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to the hard one");
    10_000.min(most as usize - 500)
}

/// Bytes that this process has and no other.
fn memory(pid: i32) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is there");
    let anonymous = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("a size");
    kib.trim().parse::<usize>().expect("a number") * 1024
}

fn lab(count: usize) -> Secured {
    Secured::with("tls", "tickets 3600", |setup| {
        let setup = setup.arg("--move").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000);
        setup.env("LAB_CONNECTIONS", count + 100)
    })
}

#[test]
#[ignore = "needs 10,000 descriptors and a release build"]
fn an_idle_connection_and_a_move_cost_what_was_promised() {
    let count = count();
    let plain = {
        let lab = lab(count);
        let before = memory(lab.server.pid());
        let clients: Vec<TcpStream> = (0..count)
            .map(|_| {
                let mut client = lab.server.connect();
                client.ask("who");
                client.stream
            })
            .collect();
        let each = (memory(lab.server.pid()) - before) / count;
        for engine in [Engine::Fork, Engine::ForkExec, Engine::ForkExec] {
            lab.server.restart(engine.signal());
        }
        println!("plain: {each} bytes an idle connection; {count} of them moved:");
        lab.server.wait_lines("none was served for", 3).iter().for_each(|line| print!("{line}"));
        drop(clients);
        each
    };
    let lab = lab(count);
    let config = Arc::new(lab.pki.client(BOTH));
    let connect = || {
        let mut client = TlsClient::connect(&lab.address, Arc::clone(&config), "localhost");
        client.ask("who");
        client
    };
    drop(connect()); // the certificate's key has been used
    let before = memory(lab.server.pid());
    let mut heard: Vec<TlsClient> = (0..50).map(|_| connect()).collect();
    let others = (0..count - 50).map(|_| connect().stream.into_inner().sock);
    let others: Vec<TcpStream> = others.collect();
    let each = (memory(lab.server.pid()) - before) / count;
    println!(
        "TLS: {each} bytes an idle connection, {} beside a plain one; {count} of them moved:",
        each - plain
    );
    for round in 0..3 {
        for engine in [Engine::Fork, Engine::ForkExec] {
            lab.server.restart(engine.signal());
            for client in &mut heard {
                assert_eq!(client.ask(&format!("echo {round}")), round.to_string());
            }
        }
    }
    lab.server.wait_lines("none was served for", 6).iter().for_each(|line| print!("{line}"));
    drop(others);
}
