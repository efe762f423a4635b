//! `resolve NAME`: the instances of a service, by the HTTP catalog and by DNS, side by side.

use program::{Outcome, printable};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    look::{Answer, Ask, BothAnswers, Line, Verdict, instance_json},
    print::{Paint, Table, Tone, json_line, write_stdout},
};

/// Lists the instances of a service, as Consul returns them by HTTP and by DNS
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery resolve service2

A line that differs between HTTP and DNS ends in the difference. DNS omits instances that are
critical or in maintenance; that is not a difference.
Exit code 1: HTTP or DNS did not answer, or there is no instance.")]
pub(crate) struct Resolve {
    /// The service
    name: String,
    #[command(flatten)]
    ask: Ask,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

impl Resolve {
    pub(super) async fn run(self) -> Outcome {
        let Self { name, ask, json } = self;
        let answers = ask.consul()?.look(&name).await;
        let text =
            if json { as_json(&name, &answers) } else { as_text(&name, &answers, Paint::stdout()) };
        if answers.http.is_ok() || answers.dns.is_ok() {
            write_stdout(&text)?;
        }
        if let Some(failure) = answers.failure() {
            return Err(failure.into());
        }
        if answers.lines().is_empty() {
            return Err(format!(
                "{name} has no instance; `discovery services` lists the services that have"
            )
            .into());
        }
        Ok(())
    }
}

fn as_text(name: &str, answers: &BothAnswers, paint: Paint) -> String {
    let lines = answers.lines();
    let mut text = format!(
        "{}: {} by HTTP, {} by DNS\n",
        printable(name),
        count(&answers.http),
        count(&answers.dns)
    );
    if lines.is_empty() {
        return text;
    }
    let mut table = Table::new(["ADDRESS", "HTTP", "DNS", "WEIGHT", "NODE", "ID", "TAGS", ""]);
    for line in &lines {
        let (tone, differs) = mark(line.verdict);
        let seen = &line.instance;
        let http = match (&answers.http, line.verdict) {
            (Err(_), _) => "?".into(),
            (Ok(_), Verdict::OnlyInDns) => "absent".into(),
            (Ok(_), _) => seen.status.to_string(),
        };
        let dns = match (&answers.dns, line.verdict) {
            (Err(_), _) => "?",
            (Ok(_), Verdict::LeftOut) => "left out",
            (Ok(_), Verdict::NotInDns) => "absent",
            (Ok(_), _) => "yes",
        };
        let (weight, node, id) =
            (seen.weight().to_string(), seen.node.to_string(), seen.id.to_string());
        table.push(
            tone,
            [seen.to_string(), http, dns.into(), weight, node, id, seen.tags.join(","), differs],
        );
    }
    text.push_str(&table.render(paint));
    text
}

fn count(seen: &Answer) -> String {
    match seen {
        Ok(snapshot) => snapshot.instances.len().to_string(),
        Err(_) => "?".into(),
    }
}

fn mark(verdict: Verdict) -> (Tone, String) {
    match verdict {
        Verdict::Same => (Tone::Plain, String::new()),
        Verdict::LeftOut => (Tone::Doubtful, String::new()),
        Verdict::NotInDns => (Tone::Bad, "<- not in DNS".into()),
        Verdict::OnlyInDns => (Tone::Bad, "<- only in DNS".into()),
        Verdict::StillInDns => (Tone::Bad, "<- still in DNS".into()),
        Verdict::WeightInDns(weight) => (Tone::Bad, format!("<- weight {weight} in DNS")),
    }
}

fn as_json(name: &str, answers: &BothAnswers) -> String {
    let lines = answers.lines();
    let differences: Vec<_> =
        lines.iter().filter(|line| line.verdict.differs()).map(difference).collect();
    let all = json!({
        "service": name,
        "http": answer_json(&answers.http),
        "dns": answer_json(&answers.dns),
        "differences": differences,
    });
    json_line(&all)
}

fn answer_json(seen: &Answer) -> Value {
    match seen {
        Ok(snapshot) => json!({
            "index": snapshot.index,
            "age_ms": snapshot.age(Instant::now()).as_millis(),
            "instances": snapshot.instances.iter().map(|seen| instance_json(seen)).collect::<Vec<_>>(),
        }),
        Err(failure) => json!({ "failure": failure }),
    }
}

fn difference(line: &Line) -> Value {
    json!({ "address": line.instance.to_string(), "what": mark(line.verdict).1.trim_start_matches("<- ") })
}
