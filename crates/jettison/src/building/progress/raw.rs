//! Progress for programs: one JSON object a line, in the shape of BuildKit's `SolveStatus`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jettison_engine::events::{End, Event, Vertex};
use jettison_image::Digest;
use serde_json::{Value, json};

use super::Drawer;

/// Writes JSON lines.
pub(super) struct RawJson {
    /// The build's start, since 1970.
    start: Duration,
    steps: BTreeMap<Vertex, (String, Duration)>,
}

impl RawJson {
    pub(super) fn new(start: SystemTime) -> Self {
        Self { start: start.duration_since(UNIX_EPOCH).unwrap_or_default(), steps: BTreeMap::new() }
    }

    fn time(&self, at: Duration) -> String {
        let time = self.start + at;
        rfc3339(time.as_secs().cast_signed(), time.subsec_nanos())
    }

    fn vertex(&self, vertex: Vertex) -> Value {
        let (name, started) = self.steps.get(&vertex).cloned().unwrap_or_default();
        json!({ "digest": digest(vertex), "name": name, "started": self.time(started) })
    }
}

/// What stands for a step: programs want one digest a step, and take no meaning from it.
fn digest(vertex: Vertex) -> String {
    Digest::of(format!("jettison vertex {}", vertex.0).as_bytes()).to_string()
}

impl Drawer for RawJson {
    fn hear(&mut self, event: &Event, at: Duration, out: &mut Vec<u8>) {
        let value = match event {
            Event::Started { vertex, name } => {
                self.steps.insert(*vertex, (name.to_string(), at));
                json!({ "vertexes": [self.vertex(*vertex)] })
            }
            Event::Output { vertex, is_error, bytes } => json!({ "logs": [{
                "vertex": digest(*vertex),
                "stream": if *is_error { 2 } else { 1 },
                "data": base64(bytes),
                "timestamp": self.time(at),
            }] }),
            Event::Progress { vertex, done, total, unit } => {
                let started = self.steps.get(vertex).map(|(_, started)| *started).unwrap_or_default();
                json!({ "statuses": [{
                    "id": unit,
                    "vertex": digest(*vertex),
                    "total": total,
                    "current": done,
                    "timestamp": self.time(at),
                    "started": self.time(started),
                }] })
            }
            Event::Finished { vertex, end, .. } => {
                let mut value = self.vertex(*vertex);
                value["completed"] = Value::from(self.time(at));
                match end {
                    End::Done => {}
                    End::Cached => value["cached"] = Value::from(true),
                    End::Failed(why) => value["error"] = Value::from(why.as_str()),
                    End::Cancelled => value["error"] = Value::from("context canceled"),
                }
                json!({ "vertexes": [value] })
            }
            // Nothing is drawn while a shell has the terminal.
            Event::DebugShell { .. } => return,
            Event::Warning { message } => json!({ "warnings": [{ "level": 1, "short": base64(message.as_bytes()) }] }),
        };
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(b'\n');
    }

    fn tick(&mut self, _at: Duration, _out: &mut Vec<u8>) {}

    fn end(&mut self, _at: Duration, _out: &mut Vec<u8>) {}
}

/// Bytes as JSON of Go's programs holds them (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(group >> (18 - 6 * place) & 63) as usize]);
            out.push(if place > chunk.len() { '=' } else { digit });
        }
    }
    out
}

/// A time as RFC 3339 writes it, in UTC; fractions of a second only where there are any.
fn rfc3339(seconds: i64, nanos: u32) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 1 March of year 0 in the proleptic Gregorian calendar; eras have 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::super::plain::tests::drawn;
    use super::*;

    #[test]
    fn a_build_as_json() {
        let start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let text = drawn(&mut RawJson::new(start));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (one, two) = (digest(Vertex(1)), digest(Vertex(2)));
        let first = json!({ "digest": one, "name": "[1/3] FROM alpine", "started": "2023-11-14T22:13:20Z" });
        assert_eq!(lines[0], json!({ "vertexes": [first] }));
        let mut cached = first;
        cached["completed"] = json!("2023-11-14T22:13:20Z");
        cached["cached"] = json!(true);
        assert_eq!(lines[1], json!({ "vertexes": [cached] }));
        assert_eq!(
            lines[3],
            json!({ "logs": [{
                "vertex": two,
                "stream": 1,
                "data": "Y29tcGlsaW5nIBtbMzJtYS5jG1swbQo=",
                "timestamp": "2023-11-14T22:13:20.223000000Z",
            }] })
        );
        assert_eq!(lines[5]["statuses"][0]["current"], 10);
        assert_eq!(lines[9], json!({ "warnings": [{ "level": 1, "short": "c29tZXRoaW5nIGlzIG9kZA==" }] }));
        assert_eq!(lines[10]["vertexes"][0]["error"], "\"make\" ended with exit code 2");
        assert_eq!(lines.len(), 11);
    }

    #[test]
    fn base64_of_every_length() {
        let texts: Vec<String> = ["", "f", "fo", "foo", "foob"].iter().map(|text| base64(text.as_bytes())).collect();
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(rfc3339(-1, 0), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_399, 0), "2100-02-28T23:59:59Z");
    }
}
