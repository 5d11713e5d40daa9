//! Numbers as a real monitor sees them: Prometheus scrapes a lab through twenty restarts under load, and no counter falls,
//! no scrape fails, and each query of the dashboard has an answer.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::common::{
    Client, DEADLINE, Dir,
    ops::{AtEnd, Control, Operated},
    restart::Engine,
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

const RESTARTS: usize = 20;

fn text(lab: &Operated) -> String {
    let reply = Control::connect(&lab.control()).expect("the control socket").ask("metrics");
    format!("{}\n", reply[1..].join("\n"))
}

/// A request by HTTP on a connection of its own; the body of the reply.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
    match head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200") {
        true => Ok(body.to_owned()),
        false => Err(std::io::Error::other(format!("{path}: {reply}"))),
    }
}

/// What is not a letter or a digit, as `%` and two digits.
fn escape(query: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    query.bytes().map(byte).collect()
}

/// A port that was free a moment ago, for a program that takes no other's socket.
fn free_port() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its address")
}

/// So often it scrapes, in seconds, and so long it waits: one generation that hangs costs half a second, and a busy machine more.
const EVERY: u32 = 5;

/// A Prometheus that scrapes one target.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: Dir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Prometheus {
        let dir = Dir::new();
        let config = format!(
            "global: {{scrape_interval: {EVERY}s, scrape_timeout: {EVERY}s}}\n\
             scrape_configs: [{{job_name: lab, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(dir.path("prometheus.yml"), config).expect("a file");
        let address = free_port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed");
        let prometheus = Prometheus { child, address, _dir: dir };
        wait_for("prometheus to be ready", || get(address, "/-/ready").is_ok());
        prometheus
    }

    /// The values of a query, whatever their labels.
    fn query(&self, query: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", escape(query));
        let answer = get(self.address, &path).unwrap_or_else(|e| panic!("{query}: {e}"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let results = answer["data"]["result"].as_array().expect("a vector");
        let value = |result: &Value| result["value"][1].as_str()?.parse().ok();
        results.iter().map(|result| value(result).expect("a number")).collect()
    }

    fn one(&self, query: &str) -> f64 {
        match self.query(query)[..] {
            [value] => value,
            ref values => panic!("{query}: {values:?}"),
        }
    }

    /// The names of all that it has.
    fn names(&self) -> BTreeSet<String> {
        let answer = get(self.address, "/api/v1/label/__name__/values").expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let names = answer["data"].as_array().expect("a list").iter();
        names.map(|name| name.as_str().expect("a name").to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Comes, asks some times and goes, until `done`.
fn keep_asking(address: &str, done: &AtomicBool, asked: &AtomicU64) {
    while !done.load(Relaxed) {
        let mut client = Client::connect(address);
        for _ in 0..50 {
            client.ask("who");
            asked.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(1)); // a load that leaves room for others
        }
    }
}

/// Restarts by both engines, one of which is undone, and a generation that drains is killed.
fn restart_all_the_time(lab: &Operated, prometheus: &Prometheus) {
    let mut held = Vec::new();
    for (round, engine) in Engine::alternating().take(RESTARTS).enumerate() {
        let mut client = lab.connect();
        client.who();
        held.push((client, lab.pid()));
        let scrapes = prometheus.one("sum(count_over_time(up[10m]))");
        let ran = lab.heirloom(&["restart", &format!("--{}", engine.name()), "--move"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        if round == RESTARTS / 2 {
            let (_client, pid) = held.remove(0);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // if it has not left by itself
            wait_gone(pid);
        }
        if held.len() > 3 {
            held.remove(0);
        }
        wait_for("another scrape", || prometheus.one("sum(count_over_time(up[10m]))") > scrapes);
    }
}

/// For a reader of the format before OpenMetrics, in which the family of a counter is called as its samples are: promtool
/// 2.42 reads no other.
fn classic(text: &str) -> String {
    let counters = text.lines().filter_map(|line| {
        line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(|name| format!(" {name} "))
    });
    let counters: BTreeSet<_> = counters.collect();
    let renamed = |line: &str| match counters.iter().find(|name| line.contains(name.as_str())) {
        Some(name) if line.starts_with("# ") => {
            line.replacen(name.as_str(), &format!(" {}_total ", name.trim()), 1) + "\n"
        }
        _ => line.to_owned() + "\n",
    };
    text.lines().map(renamed).collect()
}

#[test]
#[ignore = "needs promtool"]
fn promtool_finds_nothing_to_say() {
    let lab = Operated::with(50, |setup| setup);
    lab.connect().who();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool =
        promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is installed");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(classic(&text(&lab)).as_bytes()).expect("it reads");
    drop(stdin);
    let said = promtool.wait_with_output().expect("it runs");
    let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.is_empty(), "{said:?}");
}

/// A lab that gives its numbers at a port.
fn scraped() -> (SocketAddr, Operated) {
    let port = free_port();
    let lab = Operated::with(50, |setup| setup.arg("--metrics").arg(port.to_string()));
    (port, lab)
}

#[test]
#[ignore = "needs prometheus"]
fn through_twenty_restarts_no_counter_falls_and_no_scrape_fails() {
    let (port, lab) = scraped();
    let prometheus = Prometheus::start(port);
    wait_for("a first scrape", || !prometheus.query("up == 1").is_empty());
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _at_end = AtEnd(&done);
        for _ in 0..4 {
            scope.spawn(|| keep_asking(&lab.address, &done, &asked));
        }
        restart_all_the_time(&lab, &prometheus);
    });
    // Two more scrapes, so that all that was done is in the last one.
    let scrapes = prometheus.one("count_over_time(up[10m])");
    wait_for("the last scrapes", || prometheus.one("count_over_time(up[10m])") >= scrapes + 2.0);
    let longest = prometheus.one("max_over_time(scrape_duration_seconds[10m])");
    let all_up = prometheus.one("min_over_time(up[10m])") == 1.0;
    assert!(all_up, "a scrape has failed; the longest took {longest} s");
    let is_count = |name: &&String| {
        ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
    };
    let names = prometheus.names();
    let counts: Vec<_> = names.iter().filter(is_count).collect();
    assert!(counts.len() > 25, "{counts:?}");
    let scrapes = prometheus.one(&format!("count_over_time(up[10m] offset {EVERY}s)"));
    for name in counts {
        assert_eq!(prometheus.one(&format!("max(resets({name}[10m]))")), 0.0, "{name} has fallen");
        let samples = prometheus.one(&format!("min(count_over_time({name}[10m]))"));
        assert!(samples >= scrapes, "{name}: {samples} samples in {scrapes} scrapes");
    }
    // With those who were held, each of which has asked once.
    let all = asked.load(Relaxed) + RESTARTS as u64;
    assert_eq!(prometheus.one("heirloom_messages_total"), all as f64);
    assert_eq!(prometheus.one("lab_requests_total"), all as f64);
    let committed = prometheus.one(r#"sum(heirloom_restarts_total{outcome="committed"})"#);
    assert_eq!(committed, RESTARTS as f64);
    check_dashboard(&prometheus);
}

/// Each query of the dashboard has an answer that is not empty.
fn check_dashboard(prometheus: &Prometheus) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/dashboard/grafana.json");
    let dashboard = fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations");
    let mut count = 0;
    for query in targets.chain(annotations) {
        let query = query["expr"].as_str().expect("a query");
        let query = query.replace("$job", ".*").replace("$instance", ".*");
        let query = query.replace("$__rate_interval", "1m");
        assert!(!query.contains('$'), "{query}");
        assert!(!prometheus.query(&query).is_empty(), "no answer: {query}");
        count += 1;
    }
    assert!(count > 15, "{count} queries");
}
