//! The broker with clients that others have written, through restarts by both engines: none of them notices, nothing
//! is lost, doubled or reordered. What these tests need is not everywhere: `cargo test --test promises mqtt_tools:: -- --ignored`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use crate::common::{self, DEADLINE, Dir, Server, restart::Engine, wait_for};

fn start() -> Server {
    Server::of("mqtt").start()
}

fn port(server: &Server) -> &str {
    server.address.rsplit(':').next().expect("a port")
}

/// A client program; it ends with the test.
struct Tool(Child);

impl Tool {
    fn start(command: &mut Command) -> Tool {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        Tool(child.unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program())))
    }

    fn say(&mut self, text: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("it reads");
    }

    /// It ends well, once it is told nothing more. What it has written to stdout and to stderr.
    fn end(mut self, output: thread::JoinHandle<String>) -> (String, String) {
        drop(self.0.stdin.take());
        let mut status = None;
        wait_for("a tool to end", || {
            status = self.0.try_wait().expect("our child");
            status.is_some()
        });
        let mut errors = String::new();
        let stderr = self.0.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut errors).expect("text");
        let output = output.join().expect("it was read");
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{output}\n{errors}");
        (output, errors)
    }

    /// Reads all of its stdout, so that it never waits for us; the first `lines` lines are there already.
    fn read(&mut self, lines: usize) -> thread::JoinHandle<String> {
        let mut output = BufReader::new(self.0.stdout.take().expect("a pipe"));
        let mut text = String::new();
        for _ in 0..lines {
            assert!(output.read_line(&mut text).expect("text") > 0, "it has ended after {text:?}");
        }
        thread::spawn(move || {
            output.read_to_string(&mut text).expect("text");
            text
        })
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// mosquitto_sub prints each packet that it gets or sends among the messages (`-d`), so a second CONNECT shows.
fn mosquitto_sub(server: &Server, level: usize, count: usize) -> Tool {
    let (level, count) = (level.to_string(), count.to_string());
    let seconds = (DEADLINE.as_secs() * 2).to_string();
    let mut command = Command::new("stdbuf"); // a line is written when it is complete
    command.args([
        "-oL",
        "mosquitto_sub",
        "-d",
        "-p",
        port(server),
        "-q",
        &level,
        "-t",
        "load/#",
        "-F",
        "%t %p",
    ]);
    command.args(["-C", &count, "-W", &seconds, "-i", &format!("sub-{level}"), "-k", "5"]);
    Tool::start(&mut command)
}

/// Lines of its stdin are its messages.
fn mosquitto_pub(server: &Server, level: usize) -> Tool {
    let topic = format!("load/{level}");
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", port(server), "-q", &level.to_string(), "-t", &topic, "-l"]);
    Tool::start(&mut command)
}

#[test]
#[ignore = "needs mosquitto-clients"]
fn mosquitto_s_clients_notice_nothing_of_twenty_restarts() {
    const ROUNDS: usize = 20;
    const LINES: usize = 500; // of each publisher in a round
    let server = start();
    let mut subscribers = Vec::new();
    for level in 0..3 {
        let mut tool = mosquitto_sub(&server, level, 3 * ROUNDS * LINES);
        // `sending CONNECT`, `received CONNACK`, `sending SUBSCRIBE`, `received SUBACK`
        let output = tool.read(4);
        subscribers.push((level, tool, output));
    }
    let mut publishers: Vec<_> = (0..3).map(|level| mosquitto_pub(&server, level)).collect();
    for (round, engine) in (0..ROUNDS).zip(Engine::alternating()) {
        for publisher in &mut publishers {
            let numbers = round * LINES..(round + 1) * LINES;
            publisher.say(&numbers.map(|number| format!("{number}\n")).collect::<String>());
        }
        server.restart(engine.signal());
    }
    for mut publisher in publishers {
        let output = publisher.read(0);
        publisher.end(output);
    }
    for (level, tool, output) in subscribers {
        let (output, errors) = tool.end(output);
        let debug = |line: &&str| line.starts_with("Client ") || line.starts_with("Subscribed ");
        let connects = output.lines().filter(|line| line.contains("sending CONNECT")).count();
        assert_eq!((connects, &*errors), (1, ""), "of QoS {level}");
        let mut next = BTreeMap::new();
        for line in output.lines().filter(|line| !debug(line)) {
            let (topic, number) = line.split_once(' ').expect("a topic and a number");
            let expected = next.entry(topic).or_insert(0);
            assert_eq!(number.parse(), Ok(*expected), "{topic} at QoS {level}");
            *expected += 1;
        }
        assert!(next.len() == 3 && next.values().all(|&count| count == ROUNDS * LINES), "{next:?}");
    }
}

/// Where `.ci/run` has installed paho-mqtt, or whatever Python there is.
fn python() -> Command {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/paho/bin/python3");
    Command::new(if own.exists() { own } else { "python3".into() })
}

/// Publishers that each number the messages of their topics, and subscribers that count them. `stop` ends it; then each
/// says what it has seen.
const PAHO: &str = r#"
import sys, threading, time
import paho.mqtt.client as mqtt

port, publishers, subscribers = (int(word) for word in sys.argv[1:4])
problems, ended, stopping = [], threading.Event(), threading.Event()

def client(name, clean):
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
    def disconnected(client, userdata, flags, reason, properties):
        if not ended.is_set():
            problems.append(f"{name} has lost its connection: {reason}")
    c.on_disconnect = disconnected
    c.max_queued_messages_set(0)
    return c

def connect(c):
    ready = threading.Event()
    c.on_connect = lambda *args: ready.set()
    c.connect("127.0.0.1", port, keepalive=5)
    c.loop_start()
    if not ready.wait(30):
        problems.append("not connected")

class Subscriber:
    def __init__(self, number):
        self.next, self.count = {}, 0
        self.c = client(f"sub-{number}", number % 2 == 0)
        self.c.on_message = self.message
        connect(self.c)
        ready = threading.Event()
        self.c.on_subscribe = lambda *args: ready.set()
        self.c.subscribe("paho/#", 2)
        if not ready.wait(30):
            problems.append("not subscribed")

    def message(self, c, userdata, message):
        number = int(message.payload)
        expected = self.next.get(message.topic, 0)
        if number != expected and len(problems) < 20:
            problems.append(f"{message.topic}: {number} instead of {expected}")
        self.next[message.topic] = number + 1
        self.count += 1

class Publisher(threading.Thread):
    def __init__(self, number):
        super().__init__()
        self.number, self.sent = number, 0
        self.c = client(f"pub-{number}", True)
        connect(self.c)

    def run(self):
        n = 0
        while not stopping.is_set():
            infos = [self.c.publish(f"paho/{self.number}/{qos}", str(n), qos) for qos in (1, 2)]
            for info in infos:
                info.wait_for_publish(30)
                if not info.is_published():
                    problems.append(f"pub-{self.number}: {n} is not acknowledged")
                    return
            self.sent += len(infos)
            n += 1

all_subscribers = [Subscriber(number) for number in range(subscribers)]
all_publishers = [Publisher(number) for number in range(publishers)]
for publisher in all_publishers:
    publisher.start()
print("ready", flush=True)
sys.stdin.readline()
stopping.set()
for publisher in all_publishers:
    publisher.join()
sent = sum(publisher.sent for publisher in all_publishers)
until = time.monotonic() + 30
while any(s.count < sent for s in all_subscribers) and time.monotonic() < until:
    time.sleep(0.01)
ended.set()
for subscriber in all_subscribers:
    if subscriber.count != sent:
        problems.append(f"{subscriber.count} of {sent} messages have come")
for c in [p.c for p in all_publishers] + [s.c for s in all_subscribers]:
    c.disconnect()
    c.loop_stop()
print("sent", sent)
for problem in problems:
    print("problem:", problem)
"#;

#[test]
#[ignore = "needs paho-mqtt"]
fn paho_s_clients_notice_nothing_of_eighty_restarts() {
    let server = start();
    let mut command = python();
    let mut paho = Tool::start(command.args(["-c", PAHO, port(&server), "4", "4"]));
    let output = paho.read(1);
    for engine in Engine::alternating().take(80) {
        server.restart(engine.signal());
    }
    paho.say("stop\n");
    let (output, errors) = paho.end(output);
    println!("{output}");
    assert!(!output.contains("problem") && errors.is_empty(), "{output}\n{errors}");
    let sent = output.lines().find_map(|line| line.strip_prefix("sent ")).expect("a line");
    assert!(sent.parse().is_ok_and(|sent: u64| sent > 1000), "{sent} messages are no load");
    assert_eq!(server.count_lines("restart: done"), 80);
    assert_eq!(server.count_lines("moved: 8 connections, 0 stay"), 80);
}

/// Tests of the broker in mosquitto's source that concern version 3.1.1 and need no configuration. Left out are those
/// of other versions, of limits and `$SYS`, and those that start a second broker and expect an empty one.
const OF_MOSQUITTO: &[&str] = &[
    "01-connect-bad-packet",
    "01-connect-duplicate",
    "01-connect-invalid-id-0",
    "01-connect-invalid-id-utf8",
    "01-connect-invalid-protonum",
    "01-connect-invalid-reserved",
    "01-connect-success",
    "01-connect-uname-invalid-utf8",
    "01-connect-uname-no-flag",
    "01-connect-uname-pwd-no-flag",
    "02-subhier-crash",
    "02-subpub-qos0",
    "02-subpub-qos1-bad-pubcomp",
    "02-subpub-qos1-bad-pubrec",
    "02-subpub-qos1",
    "02-subpub-qos2-1322",
    "02-subpub-qos2-bad-puback-1",
    "02-subpub-qos2-bad-puback-2",
    "02-subpub-qos2-bad-pubcomp",
    "02-subpub-qos2",
    "02-subscribe-invalid-utf8",
    "02-subscribe-persistence-flipflop",
    "02-subscribe-qos0",
    "02-subscribe-qos1",
    "02-subscribe-qos2",
    "02-unsubscribe-invalid-no-topic",
    "02-unsubscribe-qos0",
    "02-unsubscribe-qos1",
    "02-unsubscribe-qos2-multiple",
    "02-unsubscribe-qos2",
    "03-publish-b2c-disconnect-qos1",
    "03-publish-b2c-disconnect-qos2",
    "03-publish-c2b-disconnect-qos2",
    "03-publish-dollar",
    "03-publish-invalid-utf8",
    "03-publish-long-topic",
    "03-publish-qos1",
    "03-publish-qos2",
    "04-retain-qos0-clear",
    "04-retain-qos0-fresh",
    "04-retain-qos0-repeated",
    "04-retain-qos0",
    "04-retain-qos1-qos0",
    "05-clean-session-qos1",
    "07-will-invalid-utf8",
    "07-will-no-flag",
    "07-will-null-topic",
    "07-will-null",
    "07-will-qos0",
    "07-will-reconnect-1273",
];

/// A test of mosquitto's, as it was published but for versions 3 and 5: it starts `../../src/mosquitto`, which is none, and
/// connects to the port that it is given.
fn prepare(dir: &Dir, name: &str) -> Command {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mosquitto/test");
    let (src, broker) = (dir.path("src"), dir.path("test/broker"));
    for folder in [&src, &broker] {
        fs::create_dir_all(folder).expect("a folder of the test's own");
    }
    common::place("#!/bin/sh\nexec sleep 300\n", 0o755, &src.join("mosquitto"));
    let files = ["mosq_test.py", "mqtt5_opts.py", "mqtt5_props.py", "mqtt5_rc.py"];
    for file in files.into_iter().chain(["broker/mosq_test_helper.py"]) {
        let text = fs::read(source.join(file)).expect("the source of mosquitto, see `.ci/run`");
        fs::write(dir.path("test").join(file), text).expect("a file of the test's own");
    }
    let text = fs::read_to_string(source.join(format!("broker/{name}.py"))).expect("one of them");
    let others = ["do_test(3", "do_test(5", "do_test(proto_ver=3", "do_test(proto_ver=5"];
    let is_ours = |line: &&str| !others.iter().any(|other| line.trim().starts_with(other));
    let text = text.lines().filter(is_ours).fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").expect("memory");
        text
    });
    fs::write(broker.join("test.py"), text).expect("a file of the test's own");
    let mut command = Command::new("timeout");
    command.args(["60", "python3", "test.py"]).current_dir(broker);
    command
}

#[test]
#[ignore = "needs the tests of mosquitto"]
fn the_tests_of_mosquitto_notice_nothing_of_restarts() {
    let (mut restarts, mut failed, mut engines) = (0, String::new(), Engine::alternating());
    for name in OF_MOSQUITTO {
        let (server, dir) = (start(), Dir::new());
        let mut command = prepare(&dir, name);
        let mut test = Tool::start(command.arg(port(&server)));
        let output = test.read(0);
        let status = loop {
            if let Some(status) = test.0.try_wait().expect("our child") {
                break status;
            }
            server.restart(engines.next().expect("it goes on for ever").signal());
            restarts += 1;
        };
        if !status.success() {
            let output = output.join().expect("it was read");
            writeln!(failed, "{name}: {status}\n{output}").expect("memory");
        }
    }
    assert!(failed.is_empty(), "{failed}");
    println!("{} tests, {restarts} restarts", OF_MOSQUITTO.len());
    assert!(restarts >= 80, "only {restarts} restarts");
}
