//! Who drops a subscription ends it for all who share its connection, and nobody is told.

use std::{mem, time::Duration};

use crate::{
    Lesson, Result, Verdict, process, services,
    tell::{right, say, wrong},
    wire::{LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "silent-end",
    title: "a subscription ends, and looks as if there were no news",
    teach,
    places: &[(
        "src/system/per_process.rs",
        "drop",
        "a subscription of another process is forgotten, and its descriptor closed by number",
    )],
};

const CHANNELS: usize = 5;

fn teach() -> Result<Verdict> {
    say(
        "A server listens to a channel of Redis: which keys have changed, who has logged out. The client \
         takes leave when it is dropped, by UNSUBSCRIBE, on the connection that a forked child has too.",
    );
    wrong("A server forks; the new process drops the subscription to make one of its own.");
    let heard = heard(true, SHORT)?;
    say(format!(
        "The old process, which still serves, hears {heard} of {CHANNELS} messages that are published \
         after that. Its connection is open, and no call has failed."
    ));
    right("The new process forgets what it has inherited, and closes its descriptor by number.");
    let heard_right = self::heard(false, LONG)?;
    say(format!("The old process hears {heard_right} of {CHANNELS}."));
    Ok(Verdict {
        wrong: format!("let the old process hear {heard} of {CHANNELS} messages"),
        right: format!("{heard_right} of {CHANNELS}"),
        as_taught: heard == 0 && heard_right == CHANNELS,
    })
}

/// How many messages come to the parent's subscriptions, within `patience` each?
fn heard(child_drops: bool, patience: Duration) -> Result<usize> {
    let service = services::redis()?;
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", service.port))?;
    let mut publisher = client.get_connection()?;
    let mut heard = 0;
    for channel in 0..CHANNELS {
        let mut connection = client.get_connection()?;
        connection.set_read_timeout(Some(patience))?;
        let mut subscription = connection.as_pubsub();
        subscription.subscribe(channel)?;
        let mut subscription = Some(subscription);
        let mut child = process::fork(|| {
            match child_drops {
                true => drop(subscription.take()),
                false => mem::forget(subscription.take()), // `_exit` closes the descriptor
            }
            0
        })?;
        child.wait()?;
        redis::cmd("PUBLISH").arg(channel).arg("news").exec(&mut publisher)?;
        let news = subscription.as_mut().map(redis::PubSub::get_message);
        heard += usize::from(news.is_some_and(|news| news.is_ok()));
        mem::forget(subscription); // which would wait for answers that its relative has read
    }
    Ok(heard)
}
