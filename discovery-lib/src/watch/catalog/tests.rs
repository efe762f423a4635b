//! Any answers one after the other: reading each on top of the last one gives what reading it alone gives.

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    DnsAddress, Instance,
    agent::{
        AgentSettings,
        exchange::{Exchanging, Http, Limit},
    },
    watch::{dns::DnsServer, snapshot::Remarks},
};

/// Answers with this body.
#[derive(Debug, Default)]
struct Body(Mutex<Bytes>);

impl Http for Body {
    fn exchange(&self, _: Request<Bytes>, _: Limit) -> Exchanging<'_> {
        Box::pin(async { Ok(Response::new(self.0.lock().unwrap().clone())) })
    }

    fn reconnect(&self) {}
}

/// An agent with one body, and a backend that reads it again and again.
struct Reading {
    body: Arc<Body>,
    agent: AgentClient,
    catalog: Catalog,
}

type Answered = Result<(Vec<Arc<Instance>>, Remarks), String>;

impl Reading {
    fn new() -> Self {
        let body = Arc::new(Body::default());
        let agent = AgentClient::with_http(AgentSettings::default(), body.clone());
        let dns = Arc::new(DnsServer::new(DnsAddress::default()));
        let reach = Reach { agent: agent.clone(), dns, permits: Arc::new(Permits::new()) };
        Self { body, agent, catalog: Catalog::new(&"web".into(), &reach) }
    }

    async fn again(&self, body: &[u8]) -> Answered {
        *self.body.0.lock().unwrap() = Bytes::copy_from_slice(body);
        let reply = self.catalog.send(None).await.map_err(|err| err.to_string())?;
        Ok((reply.instances, reply.remarks))
    }

    /// The same body without what was read before.
    async fn alone(&self) -> Answered {
        let answer = self.agent.health(&"web".into(), None).await.map_err(|err| err.to_string())?;
        let records = answer.body.into_iter().map(|entry| entry::record(entry, None)).collect();
        let (mut instances, mut remarks) = entry::instances(records);
        instances.sort_by_key(|it| (it.node.clone(), it.id.clone()));
        remarks.left_out.extend(answer.left_out);
        Ok((instances, remarks))
    }
}

/// A record of one of a few instances, in one of a few states: each differs from the first in one field, in its text alone, or can't be used.
fn record(id: u8, state: usize) -> String {
    let node = format!("node-{}", id / 2);
    let mut record = json!({
        "Node": {"Node": node, "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {"rack": "\"]},{\\"}},
        "Service": {"ID": format!("web-{id}"), "Service": "web", "Port": 80, "Tags": ["é", "[{"],
            "Weights": {"Passing": 1, "Warning": 1}, "Meta": {"k": ""}},
        "Checks": [{"Node": node, "CheckID": "c", "Name": "c", "Status": "passing", "Output": "ok"}],
    });
    let states: [(&str, Value); 14] = [
        ("/Node/Address", json!("10.0.0.2")),
        ("/Node/Meta", Value::Null),
        ("/Service/Service", json!("WEB")),
        ("/Service/Service", json!("db")),
        ("/Service/Port", json!(0)),
        ("/Service/Port", json!(81)),
        ("/Service/Port", json!(70_000)),
        ("/Service/Tags", json!([])),
        ("/Service/Weights/Passing", json!(2)),
        ("/Checks/0/Status", json!("critical")),
        ("/Checks/0/Output", json!("down\n")),
        ("/Checks", Value::Null),
        ("/Service", json!(7)),
        ("/Node/Node", json!("other")),
    ];
    match state.checked_sub(1) {
        Some(state) if state < states.len() => {
            let (pointer, value) = &states[state];
            *record.pointer_mut(pointer).unwrap() = value.clone();
            record.to_string()
        }
        Some(_) if state.is_multiple_of(2) => serde_json::to_string_pretty(&record).unwrap(),
        // The same key twice.
        Some(_) => record.to_string().replacen('{', "{\"Checks\":[],", 1),
        None => record.to_string(),
    }
}

/// A difference from one answer to the next.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, u8, usize),
    Insert(usize, u8, usize),
    Remove(usize),
    Swap(usize, usize),
    Repeat(usize),
    Clear,
}

impl Edit {
    fn apply(&self, records: &mut Vec<String>) {
        let len = records.len();
        match *self {
            Self::Insert(place, id, state) => records.insert(place % (len + 1), record(id, state)),
            _ if len == 0 => {}
            Self::Set(place, id, state) => records[place % len] = record(id, state),
            Self::Remove(place) => drop(records.remove(place % len)),
            Self::Swap(one, other) => records.swap(one % len, other % len),
            Self::Repeat(place) => records.push(records[place % len].clone()),
            Self::Clear => records.clear(),
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let (place, id, state) = (0_usize..12, 0_u8..8, prop_oneof![3 => Just(0), 2 => 0_usize..18]);
    prop_oneof![
        4 => (place.clone(), id.clone(), state.clone()).prop_map(|(at, id, state)| Edit::Set(at, id, state)),
        4 => (place.clone(), id, state).prop_map(|(at, id, state)| Edit::Insert(at, id, state)),
        3 => place.clone().prop_map(Edit::Remove),
        2 => (place.clone(), place.clone()).prop_map(|(one, other)| Edit::Swap(one, other)),
        1 => place.prop_map(Edit::Repeat),
        1 => Just(Edit::Clear),
    ]
}

/// What happens to the text of an answer on its way: nothing, it is cut, or a byte is replaced.
#[derive(Debug, Clone)]
enum Damage {
    None,
    Cut(prop::sample::Index),
    Replace(prop::sample::Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = prop::sample::select(b"[]{},:\"\\ 0z\n\x0c\xff".to_vec());
    prop_oneof![
        8 => Just(Damage::None),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        3 => (any::<prop::sample::Index>(), bytes).prop_map(|(at, byte)| Damage::Replace(at, byte)),
    ]
}

fn text(records: &[String], space: &str, damage: &Damage) -> Vec<u8> {
    let list = records.join(&format!("{space},{space}"));
    let mut text = format!("{space}[{space}{list}{space}]{space}").into_bytes();
    match damage {
        Damage::None => {}
        Damage::Cut(at) => text.truncate(at.index(text.len())),
        Damage::Replace(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
    }
    text
}

type Step = (Vec<Edit>, &'static str, Damage);

fn step() -> impl Strategy<Value = Step> {
    let space = prop::sample::select(vec!["", "", " ", "\r\n\t"]);
    (prop::collection::vec(edit(), 0..5), space, damage())
}

proptest! {
    #[test]
    fn an_answer_read_after_others_is_what_it_is_alone(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (reading, mut records) = (Reading::new(), Vec::new());
        for (edits, space, damage) in steps {
            edits.iter().for_each(|edit| edit.apply(&mut records));
            let body = text(&records, space, &damage);
            let (again, alone) =
                runtime.block_on(async { (reading.again(&body).await, reading.alone().await) });
            prop_assert_eq!(again, alone, "{}", String::from_utf8_lossy(&body));
        }
    }
}

#[tokio::test]
async fn an_instance_whose_record_did_not_change_is_the_same_value() {
    let reading = Reading::new();
    let all: Vec<_> = (0..6).map(|id| record(id, 0)).collect();
    let before = reading.again(&text(&all, "", &Damage::None)).await.unwrap().0;
    let mut changed = all.clone();
    changed[3] = record(3, 9);
    changed.remove(1);
    let after = reading.again(&text(&changed, "", &Damage::None)).await.unwrap().0;
    let is_same = |it: &Arc<Instance>| before.iter().any(|old| Arc::ptr_eq(old, it));
    let others: Vec<_> = after.iter().filter(|it| !is_same(it)).map(|it| it.id.as_str()).collect();
    assert_eq!((after.len(), others), (5, vec!["web-3"]));
}
