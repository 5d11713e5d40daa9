//! Whatever a session is, it is the same in the next program; and what is no session does no harm.

use proptest::prelude::*;

use super::{
    super::{
        body::{self, Body},
        cksum::Cksum,
        exchange::{Exchange, Stage},
        reply::After,
        request::Framing,
        route::{Methods, Route},
    },
    *,
};

fn any_after() -> impl Strategy<Value = After> {
    prop_oneof![Just(After::Keep), Just(After::SayKeepAlive), Just(After::Close)]
}

fn any_route() -> impl Strategy<Value = Route> {
    let plain = vec![Route::Hello, Route::Generation, Route::Echo, Route::Count, Route::Cksum];
    let plain = proptest::sample::select(plain);
    let methods = [Methods::Read, Methods::Post, Methods::Send, Methods::Any];
    let options = proptest::sample::select(methods.to_vec()).prop_map(Route::Options);
    prop_oneof![plain, any::<u64>().prop_map(Route::Bytes), options]
}

fn any_framing() -> impl Strategy<Value = Framing> {
    prop_oneof![any::<u64>().prop_map(Framing::Length), Just(Framing::Chunked)]
}

prop_compose! {
    fn any_exchange()(
        route in any_route(), refusal in proptest::option::of(0..REFUSALS.len()),
        head_only: bool, framing in any_framing(), after in any_after(), begun: bool, sum: u32,
    ) -> Exchange {
        let answer = refusal.map_or(Ok(route), |place| Err(REFUSALS[place]));
        Exchange { answer, head_only, framing, after, begun, sum: Cksum(sum) }
    }
}

fn any_body() -> impl Strategy<Value = Body> {
    let stage = prop_oneof![
        any::<u64>().prop_map(|left| body::Stage::Plain { left }),
        Just(body::Stage::Size),
        any::<u64>().prop_map(|left| body::Stage::Chunk { left }),
        Just(body::Stage::ChunkEnd),
        Just(body::Stage::Trailer),
    ];
    (stage, any::<u64>(), any::<usize>(), any::<u64>())
        .prop_map(|(stage, room, extras, received)| Body { stage, room, extras, received })
}

fn any_session() -> impl Strategy<Value = Session> {
    let stage = prop_oneof![
        any::<()>().prop_map(|()| Stage::Head),
        (any_exchange(), any_body()).prop_map(|(exchange, body)| Stage::Upload(exchange, body)),
        (any::<u64>(), any_after()).prop_map(|(left, after)| Stage::Download { left, after }),
    ];
    (stage, any::<bool>()).prop_map(|(stage, half_read)| Session {
        stage,
        half_read,
        grace_ends: None,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(session in any_session()) {
        let written = write(&session).unwrap();
        prop_assert_eq!(format!("{:?}", read(&written).unwrap()), format!("{session:?}"));
        for cut in 0..written.len() {
            prop_assert!(read(&written[..cut]).is_err());
        }
        prop_assert!(read(&[written.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = read(&[&[VERSION], bytes.as_slice()].concat());
    }
}

#[test]
fn another_version_is_named() {
    let why = read(&[9, 0, 0]).unwrap_err().to_string();
    assert!(why.contains("written in format 9, not in 4"), "{why}");
}

#[test]
fn a_refusal_of_this_program_alone_stays_here() {
    let exchange = Exchange {
        answer: Err(Refusal::bad("in words of its own")),
        head_only: false,
        framing: Framing::Chunked,
        after: After::Close,
        begun: false,
        sum: Cksum::default(),
    };
    let body = Body { stage: body::Stage::Size, room: 1, extras: 1, received: 0 };
    let stage = Stage::Upload(exchange, body);
    assert!(write(&Session { stage, half_read: false, grace_ends: None }).is_none());
}
