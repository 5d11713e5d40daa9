//! The load client counts each failure as what it is: the demo and the tests of restarts say "no failure" by it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    load::{Client, Failure, Kind, Tally},
    ports::DeadPort,
};

const REQUEST: &[u8] = b"how are you\n";
const ANSWER: &[u8] = b"all is well\n";

/// More than the clients here need, but for the one that is to wait in vain.
const PATIENCE: Duration = Duration::from_secs(20);

/// The request, the whole answer, and the server's goodbye.
fn converse(address: SocketAddr, patience: Duration) -> Result<(), Failure> {
    let until = Instant::now() + patience;
    let mut client = Client::connect(address, until)?;
    client.ask(REQUEST, until)?;
    client.expect(ANSWER, until)?;
    client.finish(until)
}

/// A conversation with a server that has the request and does this with the connection.
fn with_server(patience: Duration, serve: impl FnOnce(TcpStream) + Send) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(listener.accept().expect("the client").0));
        let result = converse(address, patience);
        server.join().expect("no panic");
        result
    })
}

/// Takes the request, answers, and leaves when the client has said goodbye or gone.
fn answer(mut stream: TcpStream, answer: &[u8]) {
    stream.read_exact(&mut [0; REQUEST.len()]).expect("the request");
    stream.write_all(answer).expect("the client takes it");
    let _ = stream.read(&mut [0]); // its FIN, or its reset
}

fn kind_of(result: Result<(), Failure>) -> Kind {
    result.expect_err("a failure").kind
}

#[test]
fn an_answer_that_is_right_to_the_byte_is_no_failure() {
    with_server(PATIENCE, |stream| answer(stream, ANSWER)).expect("no failure");
}

#[test]
fn nobody_listening_is_refused() {
    let dead = DeadPort::new();
    assert_eq!(kind_of(converse(dead.address, PATIENCE)), Kind::Refused);
}

/// Whoever closes before it has read everything resets the connection: see RFC 2525, 2.17.
#[test]
fn a_server_that_goes_with_the_request_unread_is_a_reset() {
    let result = with_server(PATIENCE, |stream| {
        stream.peek(&mut [0]).expect("the request");
    });
    assert_eq!(kind_of(result), Kind::Reset);
}

#[test]
fn an_end_before_that_of_the_answer_is_short() {
    for sent in [0, ANSWER.len() - 1] {
        let result = with_server(PATIENCE, |mut stream| {
            stream.read_exact(&mut [0; REQUEST.len()]).expect("the request");
            stream.write_all(&ANSWER[..sent]).expect("the client takes it");
        });
        assert_eq!(kind_of(result), Kind::Short);
    }
}

#[test]
fn another_byte_and_one_too_many_are_wrong() {
    for wrong in [&b"all is lost\n"[..], b"lost", b"all is well\n\n"] {
        let result = with_server(PATIENCE, |stream| answer(stream, wrong));
        assert_eq!(kind_of(result), Kind::Wrong, "{wrong:?}");
    }
}

#[test]
fn no_answer_before_the_deadline_is_timed_out() {
    let result = with_server(Duration::from_millis(50), |stream| answer(stream, b"all is"));
    assert_eq!(kind_of(result), Kind::TimedOut);
}

#[test]
fn a_tally_counts_by_kind_and_tells_each_story_once() {
    let mut tally = Tally::default();
    for after in 1..=3 {
        tally.fail(&Failure::wrong("a lie"), Duration::from_secs(after));
    }
    assert_eq!((tally.total(), tally.count(Kind::Wrong), tally.count(Kind::Short)), (3, 3, 0));
    assert_eq!(tally.stories, [(Duration::from_secs(1), "a lie".to_owned())]);
}
