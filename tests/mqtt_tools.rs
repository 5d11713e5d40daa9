//! The broker with clients that others have written, through restarts by both engines: none of them notices, nothing
//! is lost, doubled or reordered. What these tests need is not everywhere: `cargo test --test mqtt_tools -- --ignored`.

mod common;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use common::{DEADLINE, Dir, Server, restart::Engine, wait_for};

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
    let mut command = Command::new("mosquitto_sub");
    command.args(["-d", "-p", port(server), "-q", &level, "-t", "load/#", "-F", "%t %p"]);
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
