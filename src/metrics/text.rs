//! All numbers as a monitor reads them: the text format of OpenMetrics, by the Rust client library of Prometheus.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::board::{Kind, Sample};

/// What is so at the moment, of a process or of the service.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub name: &'static str,
    pub help: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// The whole text, its last line included.
pub(crate) fn render(samples: &[Sample], gauges: &[Reading]) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for sample in samples {
        let family = families.entry(sample.name.clone());
        family.or_insert_with(|| Family::new(type_of(sample.kind), &sample.help)).add(sample);
    }
    for gauge in gauges {
        let family = families.entry(gauge.name.to_owned());
        let family = family.or_insert_with(|| Family::new(MetricType::Gauge, gauge.help));
        let labels = gauge.labels.iter().map(|(key, value)| (key.to_string(), value.clone()));
        family.rows.insert(labels.collect(), Row::Value(gauge.value));
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    // It fails where the writer does, and a string takes everything.
    let _ = encode(&mut text, &registry);
    text
}

fn type_of(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter | Kind::Time => MetricType::Counter,
        Kind::Bucket | Kind::Sum => MetricType::Histogram,
        Kind::Gauge => MetricType::Gauge,
    }
}

/// All numbers of one name.
#[derive(Debug)]
struct Family {
    kind: MetricType,
    help: String,
    rows: BTreeMap<Vec<(String, String)>, Row>,
}

#[derive(Debug)]
enum Row {
    Count(u64),
    Value(f64),
    /// Bounds and how many are there, and the sum.
    Histogram(Vec<(f64, u64)>, f64),
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl Family {
    fn new(kind: MetricType, help: &str) -> Family {
        Family { kind, help: help.to_owned(), rows: BTreeMap::new() }
    }

    /// Two places with one name and the same labels are one number.
    fn add(&mut self, sample: &Sample) {
        let mut labels = sample.labels.clone();
        let bound = match sample.kind {
            Kind::Bucket => labels.pop().map(|(_, bound)| bound.parse().unwrap_or(f64::INFINITY)),
            _ => None,
        };
        let value = sample.value;
        let empty = match sample.kind {
            Kind::Counter => Row::Count(0),
            Kind::Time | Kind::Gauge => Row::Value(0.0),
            Kind::Bucket | Kind::Sum => Row::Histogram(Vec::new(), 0.0),
        };
        match (self.rows.entry(labels).or_insert(empty), sample.kind) {
            (Row::Count(sum), Kind::Counter) => *sum = sum.wrapping_add(value),
            (Row::Value(sum), Kind::Time) => *sum += seconds(value),
            (Row::Value(last), Kind::Gauge) => *last = value as f64,
            (Row::Histogram(_, sum), Kind::Sum) => *sum += seconds(value),
            (Row::Histogram(buckets, _), Kind::Bucket) => {
                let bound = bound.unwrap_or(f64::INFINITY);
                match buckets.iter_mut().find(|(at, _)| *at == bound) {
                    Some((_, count)) => *count += value,
                    None => buckets.push((bound, value)),
                }
            }
            _ => {} // a name that stands for something else in another version
        }
    }
}

#[derive(Debug)]
struct Families(BTreeMap<String, Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, Family { kind, help, rows }) in &self.0 {
            let mut metric = encoder.encode_descriptor(name, &escape(help), None, *kind)?;
            for (labels, row) in rows {
                match labels.is_empty() {
                    true => put(&mut metric, *kind, row)?,
                    false => put(&mut metric.encode_family(labels)?, *kind, row)?,
                }
            }
        }
        Ok(())
    }
}

/// What would end a line of help (OpenMetrics 1.0, "Escaping"), which that library writes as it is.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn put(metric: &mut MetricEncoder<'_>, kind: MetricType, row: &Row) -> fmt::Result {
    const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;
    match (kind, row) {
        (MetricType::Counter, Row::Count(count)) => metric.encode_counter(count, NONE),
        (MetricType::Counter, Row::Value(value)) => metric.encode_counter(value, NONE),
        (_, Row::Count(count)) => metric.encode_gauge(&(*count as f64)),
        (_, Row::Value(value)) => metric.encode_gauge(value),
        (_, Row::Histogram(buckets, sum)) => {
            let mut buckets = buckets.clone();
            buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            let count = buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(*sum, count, &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind, name: &str, labels: &[(&str, &str)], value: u64) -> Sample {
        let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let (name, help) = (name.to_owned(), "A \\ help.".to_owned());
        Sample { kind, name, labels: labels.collect(), help, value }
    }

    #[test]
    fn counts_times_histograms_and_gauges_are_text() {
        let samples = [
            sample(Kind::Counter, "b", &[("name", "a \"b\"\\")], 3),
            sample(Kind::Counter, "b", &[("name", "x")], 1),
            sample(Kind::Counter, "b", &[("name", "x")], 1), // added by two at one moment
            sample(Kind::Time, "c_seconds", &[], 1_500_000_000),
            sample(Kind::Bucket, "a_seconds", &[("le", "+Inf")], 1),
            sample(Kind::Bucket, "a_seconds", &[("le", "0.5")], 2),
            sample(Kind::Sum, "a_seconds", &[], 250_000_000),
        ];
        let labels = vec![("generation", "3".to_owned())];
        let gauge = Reading { name: "d", help: "Now.", labels, value: 7.0 };
        let text = render(&samples, &[gauge]);
        let expected = r#"# HELP a_seconds A \\ help.
# TYPE a_seconds histogram
a_seconds_sum 0.25
a_seconds_count 3
a_seconds_bucket{le="0.5"} 2
a_seconds_bucket{le="+Inf"} 3
# HELP b A \\ help.
# TYPE b counter
b_total{name="a \"b\"\\"} 3
b_total{name="x"} 2
# HELP c_seconds A \\ help.
# TYPE c_seconds counter
c_seconds_total 1.5
# HELP d Now.
# TYPE d gauge
d{generation="3"} 7.0
# EOF
"#;
        assert_eq!(text, expected);
    }
}
