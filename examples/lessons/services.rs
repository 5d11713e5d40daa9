//! Services that the lessons' clients talk to, each in a process of its own: here enough of Redis for questions and
//! subscriptions.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{
    Result,
    process::{self, Child},
    wire,
};

/// A service that lives as long as this value.
pub struct Service {
    pub port: u16,
    _process: Child,
}

/// Starts a process that serves each connection by `serve`, in a thread.
pub fn start<S: Send + 'static>(
    state: S,
    serve: fn(TcpStream, &Mutex<S>) -> io::Result<()>,
) -> Result<Service> {
    let listener = wire::listener()?;
    let port = listener.local_addr()?.port();
    let process = process::fork(|| accept(&listener, Arc::new(Mutex::new(state)), serve))?;
    Ok(Service { port, _process: process })
}

fn accept<S: Send + 'static>(
    listener: &TcpListener,
    state: Arc<Mutex<S>>,
    serve: fn(TcpStream, &Mutex<S>) -> io::Result<()>,
) -> u8 {
    for stream in listener.incoming().flatten() {
        let state = state.clone();
        thread::spawn(move || serve(stream, &state));
    }
    0
}

/// Who has subscribed to what.
type Subscribers = HashMap<String, Vec<TcpStream>>;

/// A Redis of three commands: `GET name` answers "what NAME has", `SUBSCRIBE`, and `PUBLISH`.
pub fn redis() -> Result<Service> {
    start(Subscribers::new(), serve_redis)
}

fn serve_redis(stream: TcpStream, subscribers: &Mutex<Subscribers>) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    while let Some(words) = read_command(&mut input)? {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match words[..] {
            ["GET", name] => bulk(&format!("what {name} has")),
            ["SUBSCRIBE", channel] => {
                subscribers.entry(channel.to_owned()).or_default().push(stream.try_clone()?);
                format!("*3\r\n{}{}:1\r\n", bulk("subscribe"), bulk(channel))
            }
            ["UNSUBSCRIBE" | "PUNSUBSCRIBE"] => {
                let peer = stream.peer_addr()?;
                let others = |other: &TcpStream| other.peer_addr().is_ok_and(|it| it != peer);
                subscribers.values_mut().for_each(|all| all.retain(others));
                format!("*3\r\n{}$-1\r\n:0\r\n", bulk(&words[0].to_lowercase()))
            }
            ["PUBLISH", channel, text] => {
                let all = subscribers.get(channel).map_or(&[][..], Vec::as_slice);
                let message = format!("*3\r\n{}{}{}", bulk("message"), bulk(channel), bulk(text));
                all.iter().try_for_each(|mut to| to.write_all(message.as_bytes()))?;
                format!(":{}\r\n", all.len())
            }
            _ => "+OK\r\n".to_owned(), // the client tells its name and version
        };
        (&stream).write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// `*2`, and then `$3` and `GET` for each word. `None`: the client has left.
fn read_command(input: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut line = || {
        let mut line = String::new();
        input.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let Some(count) = line()?.strip_prefix('*').and_then(|count| count.parse().ok()) else {
        return Ok(None);
    };
    let words = (0..count).map(|_| line().and_then(|_length| line()));
    words.collect::<io::Result<_>>().map(Some)
}
