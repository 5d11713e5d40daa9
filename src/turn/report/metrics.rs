//! What a monitor is told: what all generations have counted, and what those that live use at the moment.

use std::{borrow::Cow, time::Duration};

use crate::{
    clock::http_date,
    metrics::{Reading, Split, Standing, Usage, WORKER},
    net::ConnId,
    operate::http::{Reply, Status, write_metrics},
    plan::Engine,
    restart::link::{Identity, Report},
    service::Service,
    turn::Turn,
};

const NO_NUMBERS: Reply =
    Reply { status: Status::Unavailable, text: "this process has no memory for numbers" };

impl<S: Service> Turn<S> {
    /// All numbers, as a reply.
    pub(super) fn metrics(&mut self) -> String {
        match self.text() {
            Some(text) => format!("ok: OpenMetrics 1.0\n{text}"),
            None => "error: this process has no memory for numbers; its log says why".to_owned(),
        }
    }

    /// The same by HTTP.
    pub(super) fn answer_scrape(&mut self, id: ConnId, head_only: bool) {
        let reply = match self.text() {
            Some(text) => write_metrics(&text, head_only, &http_date()),
            None => NO_NUMBERS.write(head_only, &http_date()),
        };
        self.reply(id, &reply);
    }

    fn text(&mut self) -> Option<String> {
        self.net.publish();
        let mut all = self.own_line();
        all.extend(self.other_workers());
        let gauges = self.gauges(&all);
        let is_one = self.net.worker.is_none();
        let away = |worker| !is_one && !all.iter().any(|it| it.worker == Some(worker));
        self.net.metrics.as_ref().map(|metrics| metrics.text(&gauges, away))
    }

    /// How the generations of other workers stand, which this one has no link to.
    fn other_workers(&self) -> Vec<Told> {
        let (Some(own), Some(metrics)) = (self.net.worker, &self.net.metrics) else {
            return Vec::new();
        };
        let now = self.net.clock.wall();
        let others = metrics.standings().into_iter().filter(|(it, _)| it.worker != own.index);
        others.map(|(it, begun)| Told::by_itself(it, now.saturating_sub(begun))).collect()
    }

    /// The generations of this worker, this one first.
    fn own_line(&mut self) -> Vec<Told> {
        let worker = self.net.worker.map(|worker| worker.index);
        let own =
            Told::by_report(worker, self.succession.identity(&self.net), Some(&self.report()));
        let old = self.succession.old.iter().filter(|old| !self.is_supervisor(old.who));
        let others = old.chain(&self.succession.older);
        let others = others
            .map(|it| Told::by_report(worker, it.who, it.report.as_ref().filter(|_| !it.asked)));
        [own].into_iter().chain(others).collect()
    }

    fn gauges(&mut self, all: &[Told]) -> Vec<Reading> {
        let pids: Vec<_> = all.iter().map(|it| it.pid).collect();
        self.succession.usages.keep(&pids);
        let mut gauges = vec![Reading {
            name: "heirloom_generations",
            help: "Generations that live: those that serve, one of each worker, and those that drain.",
            labels: Vec::new(),
            value: all.len() as f64,
        }];
        for it in all {
            let usage = self.with_reserve(|turn| {
                let clock = turn.net.clock.clone();
                turn.succession.usages.of(it.pid, || clock.now())
            });
            gauges.extend(it.describe(usage.ok()));
        }
        gauges
    }
}

/// One generation, as it stands.
#[derive(Debug)]
struct Told {
    /// Of several.
    worker: Option<u32>,
    generation: u64,
    pid: u32,
    engine: Cow<'static, str>,
    phase: Cow<'static, str>,
    /// Its age, connections and holds, if it has said so in time.
    now: Option<(Duration, u64, u64)>,
}

impl Told {
    fn by_report(worker: Option<u32>, who: Identity, report: Option<&Report>) -> Told {
        let Identity { generation, pid, engine, .. } = who;
        Told {
            worker,
            generation,
            pid,
            engine: engine.map_or("none", Engine::name).into(),
            phase: report.map_or("silent".into(), |report| report.phase.clone().into()),
            now: report.map(|report| (report.age, report.connections, report.holds)),
        }
    }

    fn by_itself(it: Standing, age: Duration) -> Told {
        let Standing { pid, worker, generation, connections, holds, engine, phase } = it;
        let now = Some((age, connections, holds));
        Told { worker: Some(worker), generation, pid, engine, phase, now }
    }

    /// The labels by which a monitor tells it from others.
    fn labels(&self) -> Vec<(&'static str, String)> {
        let worker = self.worker.map(|index| (WORKER, index.to_string()));
        worker.into_iter().chain([("generation", self.generation.to_string())]).collect()
    }

    /// What is so of it at the moment; what it has not said in time is left out.
    fn describe(&self, usage: Option<Usage>) -> Vec<Reading> {
        let Told { pid, engine, phase, .. } = self;
        let more = [
            ("pid", pid.to_string()),
            ("engine", engine.to_string()),
            ("phase", phase.to_string()),
        ];
        let mut gauges = vec![Reading {
            name: "heirloom_generation_info",
            help: "A generation that lives: its process, the engine that has made it, and what it does.",
            labels: self.labels().into_iter().chain(more).collect(),
            value: 1.0,
        }];
        let mut say = |name, help, value: f64, kind: Option<&str>| {
            let kind = kind.map(|kind| ("kind", kind.to_owned()));
            let labels = self.labels().into_iter().chain(kind).collect();
            gauges.push(Reading { name, help, labels, value });
        };
        if let Some((age, connections, holds)) = self.now {
            let help = "Since when the process serves or waits to.";
            say("heirloom_generation_age_seconds", help, age.as_secs_f64(), None);
            let help = "Connections that are open or closing.";
            say("heirloom_connections", help, connections as f64, None);
            say("heirloom_holds", "Work in hand that is no connection.", holds as f64, None);
        }
        if let Some(Usage { resident, split, descriptors }) = usage {
            let help = "Memory that is there, in bytes, whoever else has it.";
            say("heirloom_resident_bytes", help, resident as f64, None);
            say("heirloom_descriptors", "Descriptors that are open.", descriptors as f64, None);
            let help = "Memory by whether other processes have it as well, such as the other side of a fork, in bytes. \
                        Not of processes over 256 MiB, where to look would take too long.";
            if let Some(Split { private, shared }) = split {
                say("heirloom_memory_bytes", help, private as f64, Some("private"));
                say("heirloom_memory_bytes", help, shared as f64, Some("shared"));
            }
        }
        gauges
    }
}
