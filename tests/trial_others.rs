//! `heirloom trial` of servers that are not ours, each restarted in its own way. What they do is theirs; what is
//! promised here is that it is seen.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::common::{Dir, ops::Ran, run_to_end};
use serde_json::Value;

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// The report of a trial of `server`, which is to be there and gone with it.
fn trial(address: &str, server: &str, args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    command.args(["trial", "--address", address, "--server", server, "--format", "json"]);
    command
        .args(["--restarts", "3", "--pause", "0.3", "--late", "20", "--timeout", "40"])
        .args(args);
    let ran = Ran::of(run_to_end(&mut command));
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(report["done"], 3, "{report:#}");
    assert_eq!(ran.status, Some(i32::from(report["noticed"] != 0)), "{report:#}");
    assert!(TcpStream::connect(address).is_err(), "it has outlived its trial");
    report
}

fn count(report: &Value, sort: usize, notice: &str) -> u64 {
    report["clients"][sort]["noticed"][notice].as_u64().expect("a count")
}

const NEW: usize = 0;
const HELD: usize = 1;

/// New clients are served by somebody; those that stay are told to go, as HTTP allows.
fn assert_handed_over(report: &Value) {
    let new = report["clients"][NEW]["noticed"].as_object().expect("counts");
    assert!(new.values().all(|count| *count == 0), "{report:#}");
    assert!(count(report, HELD, "closed") > 0, "{report:#}");
}

const HTTP: [&str; 5] = ["--protocol", "http", "--expect", r"hello\n", "--may-close"];

fn nginx(dir: &Dir, address: &str) -> (String, String) {
    let (here, config, pid) =
        (dir.path("").display().to_string(), dir.path("conf"), dir.path("pid"));
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp: String = temp.map(|name| format!("{name}_temp_path {here}/{name};\n")).concat();
    let text = format!(
        "worker_processes 1; pid {}; error_log {here}/errors; events {{ worker_connections 4000; }}\n\
         http {{ access_log off; {temp} server {{ listen {address} backlog=4096;\n\
         location / {{ return 200 \"hello\\n\"; }} }} }}\n",
        pid.display()
    );
    fs::write(&config, text).expect("a file");
    (format!("nginx -p {here} -c {}", config.display()), pid.display().to_string())
}

#[test]
#[ignore = "needs nginx"]
fn nginx_is_reloaded_and_its_new_workers_are_seen() {
    let (dir, address) = (Dir::new(), free_address());
    let (line, _) = nginx(&dir, &address);
    let line = format!("{line} -g 'daemon off;'");
    let how = ["--signal", "HUP", "--until", "worker"];
    assert_handed_over(&trial(&address, &line, &[&HTTP[..], &how].concat()));
}

/// It goes on as a daemon, whose first process has ended long ago; all of it ends with the trial. Who is still the child
/// of an old one takes no part in another upgrade.
#[test]
#[ignore = "needs nginx"]
fn nginx_is_upgraded_by_a_command_and_its_new_pid_is_seen() {
    let (dir, address) = (Dir::new(), free_address());
    let (line, pid) = nginx(&dir, &address);
    // It starts itself again, so it has to know where it is.
    let line =
        format!("\"$(command -v nginx)\" {}", line.strip_prefix("nginx ").expect("its name"));
    let command = format!(
        "old=$(cat {pid}); kill -USR2 $old; \
         while [ \"$(cat {pid} 2> /dev/null || echo $old)\" = $old ]; do sleep 0.01; done; \
         kill -QUIT $old; while kill -0 $old 2> /dev/null; do sleep 0.01; done"
    );
    let how = ["--restart", &command, "--pid-file", &pid];
    assert_handed_over(&trial(&address, &line, &[&HTTP[..], &how].concat()));
}

/// By a command that starts its successor, which has the listeners of the old one and tells it to go.
#[test]
#[ignore = "needs haproxy"]
fn haproxy_is_succeeded_by_another_whose_pid_is_seen() {
    let (dir, address) = (Dir::new(), free_address());
    let [config, pid, stats] =
        ["conf", "pid", "s"].map(|name| dir.path(name).display().to_string());
    let text = format!(
        "global\n  nbthread 1\n  stats socket {stats} level admin expose-fd listeners\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
         frontend hello\n  bind {address} backlog 4096\n  http-request return status 200 \
         content-type text/plain string \"hello\\n\"\n"
    );
    fs::write(&config, text).expect("a file");
    let line = format!("haproxy -D -f {config} -p {pid}");
    let command = format!("{line} -x {stats} -sf $(cat {pid})");
    let how = ["--restart", &command, "--pid-file", &pid];
    assert_handed_over(&trial(&address, &line, &[&HTTP[..], &how].concat()));
}

/// It knows no restart: whoever comes while it is away is refused, and who had stayed is sent away.
#[test]
#[ignore = "needs redis-server"]
fn redis_is_ended_and_started_again_which_everybody_notices() {
    let address = free_address();
    let port = address.rsplit(':').next().expect("a port");
    let line = format!("redis-server --bind 127.0.0.1 --port {port} --save ''");
    let report = trial(&address, &line, &["--protocol", "redis", "--again", "--new", "1000"]);
    assert!(count(&report, NEW, "refused") > 0, "{report:#}");
    let sent_away = count(&report, HELD, "closed") + count(&report, HELD, "reset");
    assert!(sent_away + count(&report, HELD, "cut") >= 50, "{report:#}");
}
