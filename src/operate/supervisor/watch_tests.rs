//! The supervisor's decisions, each as a story: what happens, after how many milliseconds, and what is
//! done about it.

use super::*;
use Event::{Ended, Gone, LameDuck, Leaves, Made, NotMade, Retires, Serves};
use proptest::prelude::*;

/// A watch and its clock.
struct Story {
    watch: Watch,
    now: Instant,
}

const STOP: Duration = Duration::from_secs(20);
/// 128 and SIGKILL, the end of a process that was killed.
const KILLED: u8 = 137;

fn serves(pid: u32, maker: Option<u32>) -> Event {
    Serves { pid, generation: u64::from(pid), maker }
}

const ASKER: Sender = Sender::Process { pid: 77, uid: 1000, word: 0 };

fn asked(signal: Signal) -> Event {
    Event::Asked { signal, leave: matches!(signal, Signal::SIGTERM | Signal::SIGINT), by: ASKER }
}

/// A signal that was asked for is passed on for who has asked.
fn forward(pid: u32, signal: Signal) -> Action {
    Action::Forward { pid, signal, by: Some(ASKER) }
}

/// The supervisor's own word.
fn end(pid: u32) -> Action {
    Action::Forward { pid, signal: Signal::SIGTERM, by: None }
}

fn prompt(signal: Signal) -> Action {
    Action::Prompt { signal, by: ASKER }
}

impl Story {
    /// Generation 1 is main; the numbers of processes are those of their generations.
    fn begin() -> Story {
        let (watch, first) = Watch::begin(Some(STOP));
        assert_eq!(first, Action::Make { generation: 0 });
        let mut story = Story { watch, now: Instant::now() };
        story.tell(Made { pid: 1 }, &[]);
        story.tell(serves(1, Some(9)), &[]);
        story
    }

    fn tell(&mut self, event: Event, expected: &[Action]) {
        let done = self.watch.step(event, self.now);
        assert_eq!(done, expected, "{event:?} in {:#?}", self.watch);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The time until something is due, which passes.
    fn wait(&mut self) -> Duration {
        let due = self.watch.next_due().expect("something is to come");
        let left = due - self.now;
        self.now = due;
        left
    }

    /// Main dies, and the next one is made after this delay.
    fn crash(&mut self, pid: u32, next: u32) -> Duration {
        self.tell(Ended { pid, code: KILLED }, &[]);
        self.tell(Gone { pid }, &[]);
        self.remake(next)
    }

    fn remake(&mut self, next: u32) -> Duration {
        let delay = self.wait();
        self.tell(Event::Due, &[Action::Make { generation: next.into() }]);
        self.tell(Made { pid: next }, &[]);
        delay
    }
}

#[test]
fn a_restart_moves_main_and_a_roll_back_moves_it_back() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(asked(Signal::SIGHUP), &[forward(2, Signal::SIGHUP)]);
    story.tell(serves(1, None), &[]); // it resumes
    story.tell(asked(Signal::SIGHUP), &[forward(1, Signal::SIGHUP)]);
    story.tell(Retires { pid: 2 }, &[]);
    story.tell(Gone { pid: 2 }, &[]);
    assert_eq!(story.watch.next_due(), None);
}

#[test]
fn deaths_that_follow_each_other_are_waited_for_twice_as_long_each_time() {
    let mut story = Story::begin();
    let mut delays = vec![story.crash(1, 2)];
    for pid in 2..12 {
        story.tell(serves(pid, Some(9)), &[]);
        story.pass(RESPAWN_PROVEN / 2);
        delays.push(story.crash(pid, pid + 1));
    }
    let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000];
    assert_eq!(delays, expected.map(Duration::from_millis));
    story.tell(serves(12, Some(9)), &[]);
    story.pass(RESPAWN_PROVEN);
    assert_eq!(story.crash(12, 13), RESPAWN_DELAY, "a service that went on for long is no failure");
}

#[test]
fn a_generation_that_is_never_ready_counts_as_a_death() {
    let mut story = Story::begin();
    assert_eq!(story.crash(1, 2), RESPAWN_DELAY);
    story.tell(NotMade { code: 3 }, &[]);
    assert_eq!(story.remake(2), RESPAWN_DELAY * 2);
    story.tell(NotMade { code: 3 }, &[]);
    assert_eq!(story.remake(2), RESPAWN_DELAY * 4);
}

#[test]
fn a_first_generation_that_never_serves_ends_the_supervisor() {
    let (mut watch, _) = Watch::begin(None);
    let now = Instant::now();
    watch.step(Made { pid: 1 }, now);
    assert_eq!(watch.step(NotMade { code: 3 }, now), [Action::Exit { code: 3 }]);
}

#[test]
fn the_end_of_the_service_ends_the_supervisor_with_mains_status_when_all_are_gone() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Retires { pid: 1 }, &[]);
    story.tell(asked(Signal::SIGTERM), &[forward(2, Signal::SIGTERM)]);
    story.tell(Leaves { pid: 2 }, &[Action::Dismiss]);
    story.tell(asked(Signal::SIGTERM), &[forward(2, Signal::SIGTERM)]);
    story.tell(Ended { pid: 2, code: 7 }, &[]);
    story.tell(Gone { pid: 2 }, &[]);
    story.tell(asked(Signal::SIGTERM), &[forward(1, Signal::SIGTERM)]);
    assert_eq!(story.wait(), STOP + LEAVE_GRACE);
    story.tell(Event::Due, &[Action::Kill { pid: 1 }]);
    story.tell(Ended { pid: 1, code: KILLED }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: 7 }]);
}

#[test]
fn a_main_that_dies_while_it_leaves_is_not_made_anew() {
    let mut story = Story::begin();
    story.tell(Leaves { pid: 1 }, &[Action::Dismiss]);
    story.tell(Ended { pid: 1, code: KILLED }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: KILLED }]);
}

#[test]
fn a_main_that_dies_of_a_forwarded_signal_has_done_as_told() {
    let mut story = Story::begin();
    story.tell(asked(Signal::SIGQUIT), &[forward(1, Signal::SIGQUIT)]);
    story.tell(Ended { pid: 1, code: 131 }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Dismiss, Action::Exit { code: 131 }]);

    // An older generation reaps it, and tells it late.
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Retires { pid: 1 }, &[]);
    story.tell(asked(Signal::SIGQUIT), &[forward(2, Signal::SIGQUIT)]);
    story.tell(Gone { pid: 2 }, &[]);
    story.tell(Ended { pid: 2, code: 131 }, &[Action::Dismiss]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: 131 }]);
}

/// It was a lame duck, which says that it leaves when it does.
#[test]
fn a_main_that_dies_after_it_was_told_to_leave_is_not_made_anew() {
    let mut story = Story::begin();
    story.tell(asked(Signal::SIGTERM), &[forward(1, Signal::SIGTERM)]);
    story.tell(Ended { pid: 1, code: KILLED }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Dismiss, Action::Exit { code: KILLED }]);

    // As it has said itself, whoever has told it.
    let mut story = Story::begin();
    story.tell(LameDuck { pid: 1 }, &[]);
    story.tell(Ended { pid: 1, code: KILLED }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Dismiss, Action::Exit { code: KILLED }]);

    // But the old side of its restart serves again, and has been told as well.
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(asked(Signal::SIGTERM), &[forward(2, Signal::SIGTERM)]);
    story.tell(Gone { pid: 2 }, &[]);
    story.tell(serves(1, None), &[]);
    story.tell(Leaves { pid: 1 }, &[Action::Dismiss]);
}

#[test]
fn who_can_serve_again_comes_before_a_new_one() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Gone { pid: 2 }, &[]);
    assert_eq!(story.watch.delay(story.now), None);
    story.tell(serves(1, None), &[]);
    assert_eq!(story.watch.next_due(), None, "nothing is to be made");

    // It hangs: it is killed, and another is made.
    story.tell(serves(3, Some(1)), &[]);
    story.tell(Gone { pid: 3 }, &[]);
    assert_eq!(story.wait(), RESUME_PATIENCE);
    story.tell(Event::Due, &[Action::Kill { pid: 1 }]);
    story.tell(Gone { pid: 1 }, &[]);
    assert_eq!(story.remake(4), RESPAWN_DELAY);
}

#[test]
fn an_older_generation_that_drains_is_not_waited_for_and_does_not_put_off_the_next_one() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Retires { pid: 1 }, &[]);
    story.tell(Gone { pid: 2 }, &[]);
    let due = story.watch.next_due();
    assert_eq!(due, Some(story.now + RESPAWN_DELAY));
    story.pass(RESPAWN_DELAY / 2);
    story.tell(Gone { pid: 1 }, &[]);
    assert_eq!(story.watch.next_due(), due);
}

#[test]
fn a_new_side_that_takes_over_from_a_dead_main_is_main() {
    let mut story = Story::begin();
    story.tell(Gone { pid: 1 }, &[]);
    story.tell(serves(2, Some(1)), &[]);
    assert_eq!(story.watch.next_due(), None);

    // Also when another is being made already.
    story.crash(2, 3);
    story.tell(serves(4, Some(2)), &[Action::Abandon]);
    story.tell(NotMade { code: KILLED }, &[]);
    assert_eq!(story.watch.next_due(), None);

    // But not when that one serves: there would be two.
    story.crash(4, 5);
    story.tell(serves(5, Some(9)), &[]);
    story.tell(serves(6, Some(4)), &[Action::Kill { pid: 6 }]);
    story.tell(asked(Signal::SIGHUP), &[forward(5, Signal::SIGHUP)]);
}

#[test]
fn a_word_of_leave_ends_the_supervisor_also_when_nobody_serves() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Retires { pid: 1 }, &[]);
    story.tell(Ended { pid: 2, code: KILLED }, &[]);
    story.tell(Gone { pid: 2 }, &[]);
    story.tell(asked(Signal::SIGHUP), &[]);
    story.tell(asked(Signal::SIGTERM), &[Action::Dismiss]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: KILLED }]);

    // And while another is being made: if it comes to serve, it hears of it.
    let mut story = Story::begin();
    story.crash(1, 2);
    story.tell(asked(Signal::SIGTERM), &[prompt(Signal::SIGTERM)]);
    story.tell(
        NotMade { code: 3 },
        &[Action::Abandon, Action::Dismiss, Action::Exit { code: KILLED }],
    );
}

/// The signal came between its first breath and its first word.
#[test]
fn who_dies_of_a_signal_that_came_while_it_was_made_has_done_as_told() {
    let code = 128 + Signal::SIGUSR1.number() as u8;
    let mut story = Story::begin();
    story.crash(1, 2);
    story.tell(asked(Signal::SIGUSR1), &[prompt(Signal::SIGUSR1)]);
    story.tell(serves(2, Some(9)), &[]);
    story.tell(Ended { pid: 2, code }, &[]);
    story.tell(Gone { pid: 2 }, &[Action::Dismiss, Action::Exit { code }]);
}

#[test]
fn who_begins_to_serve_while_the_service_ends_is_told() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    story.tell(Leaves { pid: 2 }, &[Action::Dismiss]);
    story.tell(Gone { pid: 2 }, &[]);
    story.tell(serves(1, None), &[end(1)]);
    story.tell(Ended { pid: 1, code: 0 }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: 0 }]);
}

/// Another worker has said so.
#[test]
fn who_is_to_end_with_others_is_told_once() {
    let mut story = Story::begin();
    story.tell(serves(2, Some(1)), &[]);
    let told = [end(1), end(2), Action::Dismiss];
    story.tell(Event::End { by: None }, &told);
    story.tell(Event::End { by: None }, &[]);
    story.tell(Gone { pid: 1 }, &[]);
    assert_eq!(story.wait(), STOP + LEAVE_GRACE);
    story.tell(Event::Due, &[Action::Kill { pid: 2 }]);

    // It has had the signal that the other one has obeyed.
    let mut story = Story::begin();
    story.tell(asked(Signal::SIGTERM), &[forward(1, Signal::SIGTERM)]);
    story.tell(Event::End { by: None }, &[Action::Dismiss]);
    story.tell(Ended { pid: 1, code: 0 }, &[]);
    story.tell(Gone { pid: 1 }, &[Action::Exit { code: 0 }]);

    // Nobody serves.
    let mut story = Story::begin();
    story.crash(1, 2);
    story.tell(
        Event::End { by: None },
        &[Action::Abandon, Action::Dismiss, Action::Exit { code: KILLED }],
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let pid = 1u32..5;
    prop_oneof![
        (pid.clone(), 0u64..9, proptest::option::of(1u32..5))
            .prop_map(|(pid, generation, maker)| Serves { pid, generation, maker }),
        pid.clone().prop_map(|pid| Retires { pid }),
        pid.clone().prop_map(|pid| Gone { pid }),
        // No signal that was forwarded: that would be the end.
        (pid.clone(), 0u8..128).prop_map(|(pid, code)| Ended { pid, code }),
        Just(asked(Signal::SIGHUP)),
        Just(Event::Due),
    ]
}

proptest! {
    /// Whatever generations say and do, as long as none says that the service ends: when nobody serves,
    /// the time for the next one comes.
    #[test]
    fn a_service_that_nobody_has_ended_goes_on(events in proptest::collection::vec(any_event(), 0..60)) {
        let mut story = Story::begin();
        let mut made = 0;
        for event in events {
            story.pass(Duration::from_millis(70));
            for action in story.watch.step(event, story.now) {
                match action {
                    Action::Make { .. } => made += 1,
                    Action::Kill { pid } => drop(story.watch.step(Gone { pid }, story.now)),
                    Action::Exit { .. } => prop_assert!(false, "{event:?} ended it"),
                    _ => {}
                }
            }
            if made > 0 {
                made = 0;
                story.watch.step(NotMade { code: 1 }, story.now);
            }
        }
        // All die.
        for pid in 1..5 {
            story.watch.step(Gone { pid }, story.now);
        }
        story.wait();
        let actions = story.watch.step(Event::Due, story.now);
        prop_assert!(matches!(actions[..], [Action::Make { .. }]), "{actions:?}");
    }
}
