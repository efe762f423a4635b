//! The names that exist.

use serde_json::json;
use testkit::dns::{
    Via,
    hickory_proto::{
        op::ResponseCode,
        rr::{RData, RecordType},
    },
};

use super::{answers, ask, data, has_soa, is_no_data, is_no_name};
use crate::{
    table::{Row, row},
    target::Target,
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_service_has_its_name_with_and_without_datacenter),
    row!(a_service_has_a_name_for_each_tag),
    row!(services_have_rfc_2782_names),
    row!(letter_case_is_ignored_and_preserved),
    row!(an_underscore_in_a_name_is_a_letter),
    row!(the_node_has_a_name),
    row!(every_address_has_a_name),
    row!(addresses_have_reverse_names),
    row!(the_domain_has_an_authority),
    row!(unknown_names_do_not_exist),
    row!(other_domains_are_refused),
    row!(other_types_are_no_data),
    row!(any_and_text_are_addresses),
    row!(the_serial_of_the_authority_is_the_time),
];

async fn registered(target: &Target, name: &str, address: &str, tags: &[&str]) -> String {
    let name = target.unique(name);
    target.register(&json!({ "Name": name, "Address": address, "Port": 1, "Tags": tags })).await;
    name
}

async fn a_service_has_its_name_with_and_without_datacenter(target: &Target) {
    let name = registered(target, "plain", "10.2.0.1", &[]).await;
    for name in [format!("{name}.service.consul."), format!("{name}.service.dc1.consul.")] {
        for via in [Via::PlainUdp, Via::Edns(1232), Via::Tcp] {
            let answer = target.dns(&name, RecordType::A, via).await;
            assert_eq!(answers(&answer), [format!("{name} 0 A 10.2.0.1")]);
            let header = &answer.message.metadata;
            assert_eq!(
                (
                    header.authoritative,
                    header.recursion_desired,
                    header.recursion_available,
                    header.truncation
                ),
                (true, true, false, false)
            );
            assert_eq!(answer.message.queries[0].name.to_string(), name);
            // The answer has EDNS if the query has.
            assert_eq!(answer.message.edns.is_some(), matches!(via, Via::Edns(_)));
        }
    }
    is_no_name(&ask(target, &format!("{name}.service.dc9.consul"), RecordType::A).await);
}

async fn a_service_has_a_name_for_each_tag(target: &Target) {
    let name = registered(target, "tags", "10.2.1.1", &["v1", "Master", "has.dot"]).await;
    let second =
        json!({ "ID": format!("{name}-2"), "Name": name, "Address": "10.2.1.2", "Tags": ["v1"] });
    target.register(&second).await;
    let cases: [(&str, &[&str]); 5] = [
        ("v1", &["10.2.1.1", "10.2.1.2"]),
        ("Master", &["10.2.1.1"]),
        ("master", &["10.2.1.1"]),
        ("has.dot", &["10.2.1.1"]),
        ("v2", &[]),
    ];
    for (tag, expected) in cases {
        for domain in ["service.consul", "service.dc1.consul"] {
            let answer = ask(target, &format!("{tag}.{name}.{domain}"), RecordType::A).await;
            assert_eq!(data(&answer), expected, "{tag}");
            if expected.is_empty() {
                is_no_name(&answer);
            }
        }
    }
}

async fn services_have_rfc_2782_names(target: &Target) {
    let name = registered(target, "rfc", "10.2.2.1", &["v1"]).await;
    let srv = "1 1 1 0a020201.addr.dc1.consul.";
    let names = [
        "_tcp.service.consul",
        "_v1.service.consul",
        "_tcp.service.dc1.consul",
        "_v1.service.dc1.consul",
        "_tcp.consul",
    ];
    for rest in names {
        let answer = ask(target, &format!("_{name}.{rest}"), RecordType::SRV).await;
        assert_eq!(data(&answer), [srv], "{rest}");
    }
    let answer = ask(target, &format!("_{name}._tcp.service.consul"), RecordType::A).await;
    assert_eq!(data(&answer), ["10.2.2.1"]);
    for rest in ["_udp.service.consul", "_v2.service.consul", "_tcp.service.dc9.consul"] {
        is_no_name(&ask(target, &format!("_{name}.{rest}"), RecordType::SRV).await);
    }
}

async fn letter_case_is_ignored_and_preserved(target: &Target) {
    let name = registered(target, "UpPer", "10.2.3.1", &["tAg"]).await;
    for name in [name.to_lowercase(), name.to_uppercase(), name] {
        let sent = format!("{name}.SerVice.DC1.cOnSul.");
        let answer = ask(target, &sent, RecordType::A).await;
        assert_eq!(answers(&answer), [format!("{sent} 0 A 10.2.3.1")]);
        let sent = format!("_{name}._TaG.Service.Consul.");
        let answer = ask(target, &sent, RecordType::SRV).await;
        assert_eq!(answers(&answer), [format!("{sent} 0 SRV 1 1 1 0a020301.addr.dc1.consul.")]);
    }
    let answer = ask(target, "NODE1.node.CONSUL.", RecordType::A).await;
    assert_eq!(answers(&answer), ["NODE1.node.CONSUL. 0 A 127.0.0.1"]);
}

async fn an_underscore_in_a_name_is_a_letter(target: &Target) {
    let name = registered(target, "under_score", "10.2.4.1", &[]).await;
    let answer = ask(target, &format!("{name}.service.consul"), RecordType::A).await;
    assert_eq!(data(&answer), ["10.2.4.1"]);
}

async fn the_node_has_a_name(target: &Target) {
    for name in ["node1.node.consul.", "node1.node.dc1.consul."] {
        let answer = ask(target, name, RecordType::A).await;
        assert_eq!(answers(&answer), [format!("{name} 0 A 127.0.0.1")]);
        let answer = ask(target, name, RecordType::AAAA).await;
        assert_eq!((answer.code(), answer.answers()), (ResponseCode::NoError, vec![]));
    }
    for name in ["stranger.node.consul", "node1.node.dc9.consul", "node.consul"] {
        is_no_name(&ask(target, name, RecordType::A).await);
    }
}

async fn every_address_has_a_name(target: &Target) {
    let v6 = "20010db8000000000000000000000001";
    let cases = [
        ("0a000001.addr.consul.".to_owned(), RecordType::A, "A 10.0.0.1"),
        ("0a000001.addr.dc1.consul.".to_owned(), RecordType::A, "A 10.0.0.1"),
        (format!("{v6}.addr.consul."), RecordType::AAAA, "AAAA 2001:db8::1"),
        (format!("{v6}.addr.dc1.consul."), RecordType::AAAA, "AAAA 2001:db8::1"),
    ];
    for (name, kind, expected) in cases {
        assert_eq!(answers(&ask(target, &name, kind).await), [format!("{name} 0 {expected}")]);
    }
    for name in ["zz000001.addr.consul", "addr.consul"] {
        is_no_name(&ask(target, name, RecordType::A).await);
    }
}

async fn addresses_have_reverse_names(target: &Target) {
    let name = registered(target, "back", "10.2.5.1", &[]).await;
    let six = registered(target, "six", "2001:db8:2:5::1", &[]).await;
    let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    let cases = [
        ("1.5.2.10.in-addr.arpa.", format!("{name}.service.dc1.consul.")),
        (nibbles, format!("{six}.service.dc1.consul.")),
        ("1.0.0.127.in-addr.arpa.", "node1.node.dc1.consul.".to_owned()),
    ];
    for (sent, expected) in cases {
        let answer = ask(target, sent, RecordType::PTR).await;
        assert_eq!(answers(&answer), [format!("{sent} 0 PTR {expected}")]);
        assert!(answer.message.metadata.authoritative);
    }
}

async fn the_domain_has_an_authority(target: &Target) {
    let answer = ask(target, "consul.", RecordType::SOA).await;
    let [soa] = &answer.message.answers[..] else { panic!("{:?}", answer.answers()) };
    assert!(matches!(soa.data, RData::SOA(_)));
    assert_eq!(answer.authorities(), ["consul. 0 NS node1.node.dc1.consul."]);
    let answer = ask(target, "consul.", RecordType::NS).await;
    assert_eq!(answers(&answer), ["consul. 0 NS node1.node.dc1.consul."]);
    assert_eq!(answer.additionals(), ["node1.node.dc1.consul. 0 A 127.0.0.1"]);
    let answer = ask(target, "consul.service.consul", RecordType::A).await;
    assert_eq!(data(&answer), ["127.0.0.1"], "the catalog itself is a service");
}

async fn unknown_names_do_not_exist(target: &Target) {
    let names = [
        "consul",
        "ns.consul",
        "dc1.consul",
        "service.consul",
        "stranger.consul",
        "stranger.service.consul",
        "stranger.service.dc1.consul",
        "a.b.c.d.service.consul",
        "consul.elsewhere.consul",
        "_stranger._tcp.service.consul",
    ];
    for name in names {
        let answer = ask(target, name, RecordType::A).await;
        is_no_name(&answer);
        assert!(answer.message.metadata.authoritative, "{name}");
    }
    is_no_name(&ask(target, "stranger.service.consul", RecordType::SRV).await);
}

async fn other_domains_are_refused(target: &Target) {
    for name in ["example.com", "consul.example.com", "service", "notconsul", "."] {
        let answer = ask(target, name, RecordType::A).await;
        assert_eq!(answer.code(), ResponseCode::Refused, "{name}");
        assert!(!answer.message.metadata.authoritative);
        assert_eq!((answer.answers(), answer.authorities()), (vec![], vec![]));
    }
}

async fn other_types_are_no_data(target: &Target) {
    let four = registered(target, "four", "10.2.6.1", &[]).await;
    let six = registered(target, "six", "2001:db8:2:6::1", &[]).await;
    let cases = [
        (&four, RecordType::AAAA),
        (&four, RecordType::MX),
        (&four, RecordType::CNAME),
        (&six, RecordType::A),
    ];
    for (name, kind) in cases {
        is_no_data(&ask(target, &format!("{name}.service.consul"), kind).await);
    }
}

async fn any_and_text_are_addresses(target: &Target) {
    let name = registered(target, "any", "10.2.7.1", &[]).await;
    let six = json!({ "ID": format!("{name}-6"), "Name": name, "Address": "2001:db8:2:7::1" });
    target.register(&six).await;
    for kind in [RecordType::ANY, RecordType::TXT] {
        let answer = ask(target, &format!("{name}.service.consul"), kind).await;
        assert_eq!(data(&answer), ["10.2.7.1", "2001:db8:2:7::1"], "{kind}");
    }
}

async fn the_serial_of_the_authority_is_the_time(target: &Target) {
    let answer = ask(target, "stranger.service.consul", RecordType::A).await;
    has_soa(&answer);
    let RData::SOA(soa) = &answer.message.authorities[0].data else { unreachable!() };
    // Its number is the time in seconds, so that it never decreases.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(u64::from(soa.serial).abs_diff(now) < 60, "{}", soa.serial);
}
