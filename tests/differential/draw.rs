//! Draws sequences: how far a negotiation has come, then calls of all operations, valid ones and such as
//! `draw/hostile.rs` spoils.

mod hostile;

use chacha20::ChaCha8Rng;
use mock_yagna::Seed;
use mock_yagna::config::Operation;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use workspace_tests::fidelity::sequence::{Call, Sequence, Until, Who};

/// Documented operations that requestors of ours do not use, so no fault names them.
const MORE: [(&str, &str, &str); 26] = [
    ("beginScan", "POST", "/market-api/v1/scan"),
    ("collectScan", "GET", "/market-api/v1/scan/{scan}/events"),
    ("endScan", "DELETE", "/market-api/v1/scan/{scan}"),
    ("getOffers", "GET", "/market-api/v1/offers"),
    (
        "getProviderAccounts",
        "GET",
        "/payment-api/v1/providerAccounts",
    ),
    (
        "getAllocationOrders",
        "GET",
        "/payment-api/v1/allocations/{allocation}/orders",
    ),
    (
        "getInvoicePayments",
        "GET",
        "/payment-api/v1/invoices/{invoice}/payments",
    ),
    (
        "getDebitNotePayments",
        "GET",
        "/payment-api/v1/debitNotes/{note}/payments",
    ),
    (
        "rejectDebitNote",
        "POST",
        "/payment-api/v1/debitNotes/{note}/reject",
    ),
    ("getPayment", "GET", "/payment-api/v1/payments/{payment}"),
    ("getNetworks", "GET", "/net-api/v1/net"),
    ("getNetwork", "GET", "/net-api/v1/net/{network}"),
    ("getNodes", "GET", "/net-api/v1/net/{network}/nodes"),
    ("getAddresses", "GET", "/net-api/v1/net/{network}/addresses"),
    ("addAddress", "POST", "/net-api/v1/net/{network}/addresses"),
    (
        "removeNode",
        "DELETE",
        "/net-api/v1/net/{network}/nodes/{node}",
    ),
    (
        "getRunningCommand",
        "GET",
        "/activity-api/v1/activity/{activity}/command",
    ),
    (
        "getAllocationExpenditures",
        "GET",
        "/payment-api/v1/allocations/{allocation}/expenditures",
    ),
    ("getBatchOrders", "GET", "/payment-api/v1/batchOrders"),
    (
        "sendInvoice",
        "POST",
        "/payment-api/v1/invoices/{invoice}/send",
    ),
    (
        "cancelInvoice",
        "POST",
        "/payment-api/v1/invoices/{invoice}/cancel",
    ),
    (
        "sendDebitNote",
        "POST",
        "/payment-api/v1/debitNotes/{note}/send",
    ),
    (
        "cancelDebitNote",
        "POST",
        "/payment-api/v1/debitNotes/{note}/cancel",
    ),
    (
        "getPaymentsStatus",
        "GET",
        "/payment-api/v1/payments/status",
    ),
    ("collectActivityEvents", "GET", "/activity-api/v1/events"),
    (
        "callEncrypted",
        "POST",
        "/activity-api/v1/activity/{activity}/encrypted",
    ),
];

/// The names of every operation that can be drawn.
pub(crate) fn operations() -> Vec<&'static str> {
    let table = Operation::ALL.iter().map(|operation| operation.name());
    table.chain(MORE.iter().map(|(name, ..)| *name)).collect()
}

fn request_of(name: &str) -> (String, String) {
    let mut table = Operation::ALL.iter();
    if let Some(operation) = table.find(|operation| operation.name() == name) {
        let (method, path) = operation.request();
        return (method.to_string(), path.to_owned());
    }
    let mut more = MORE.iter();
    let (_, method, path) = more
        .find(|(known, ..)| *known == name)
        .expect("it was drawn from there");
    ((*method).to_owned(), (*path).to_owned())
}

/// What stands for a number: the filling puts it where a text is written.
const EXPIRATION: &str = "#expiration#";

fn written(body: &Value) -> String {
    body.to_string()
        .replace("\"#expiration#\"", "${expiration}")
}

const CONSTRAINTS: [&str; 28] = [
    "(golem.node.debug.subnet=devnet)",
    "",
    "()",
    "(&)",
    "(a",
    "a=b",
    "(golem.runtime.name=vm)",
    "( golem.runtime.name=vm)",
    "(golem.runtime.name=vm )",
    "(golem.inf.mem.gib>=0.5)",
    "(golem.inf.mem.gib >= 0.5)",
    "(golem.inf.mem.gib>=abc)",
    "(!(nothing=*))",
    "(nothing=*)",
    "(golem.node.id.name=provider*)",
    "(golem.node.id.name=*1)",
    "(golem.node.id.name=provider.1*)",
    "(&(golem.node.debug.subnet=devnet)(golem.runtime.name=vm))",
    "(|(golem.runtime.name=wasm)(golem.runtime.name=vm))",
    "(golem.srv.caps.multi-activity=true)",
    "(golem.srv.caps.multi-activity=1)",
    "(golem.runtime.version$v>=0.3.0)",
    "(golem.runtime.capabilities=[inet,vpn,manifest-support])",
    "(golem.runtime.capabilities=vpn)",
    "(a=1)(b=2)",
    "(!a)",
    "(golem.inf.cpu.cores<3)",
    "(golem.inf.cpu.threads[max]=4)",
];

struct Draw {
    rng: ChaCha8Rng,
    calls: Vec<Call>,
    /// Names that were bound, by kind.
    named: Vec<(&'static str, String)>,
    count: usize,
}

/// The sequence of this seed and number.
pub(crate) fn sequence(seed: u64, number: u64, wanted: &[String]) -> Sequence {
    let mut draw = Draw {
        rng: Seed::from_u64(seed)
            .fork(&format!("sequence {number}"))
            .rng(),
        calls: Vec::new(),
        named: Vec::new(),
        count: 0,
    };
    let all = operations();
    let all: Vec<_> = all
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == name))
        .collect();
    draw.prepare();
    let length = draw.rng.random_range(6..=30);
    for _ in 0..length {
        let needed = |name: &&str, draw: &Draw| {
            let (_, path) = request_of(name);
            let mut kinds = path
                .split(['{', '}'])
                .skip(1)
                .step_by(2)
                .map(|word| kind_of(word, &path));
            kinds.all(|kind| draw.named.iter().any(|(known, _)| *known == kind))
        };
        // Mostly what has something to work on.
        let mut name = *all.choose(&mut draw.rng).expect("there are some");
        for _ in 0..2 {
            if !needed(&name, &draw) {
                name = *all.choose(&mut draw.rng).expect("there are some");
            }
        }
        let mut call = draw.valid(name);
        if draw.chance(45) {
            draw.spoil(&mut call);
        }
        draw.calls.push(call);
    }
    Sequence { calls: draw.calls }
}

/// What a segment in braces names.
fn kind_of(word: &str, path: &str) -> &'static str {
    match word {
        "demand" => "demand",
        "proposal" => "proposal",
        "agreement" => "agreement",
        "batch" => "batch",
        "network" => "network",
        "node" => "node",
        "scan" => "scan",
        "activity" => "activity",
        "allocation" => "allocation",
        "invoice" => "invoice",
        "note" => "note",
        "payment" => "payment",
        _ if path.contains("/activity/") => "activity",
        _ if path.contains("/allocations/") => "allocation",
        _ if path.contains("/debitNotes/") => "note",
        _ if path.contains("/invoices/") => "invoice",
        _ if path.contains("/services/") => "service",
        _ => "payment",
    }
}

impl Draw {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.rng).expect("there are some").clone()
    }

    fn name(&mut self, kind: &'static str) -> String {
        self.count += 1;
        let name = format!("{kind}{}", self.count);
        self.named.push((kind, name.clone()));
        name
    }

    /// One that is there, or an id of nothing.
    fn id(&mut self, kind: &'static str) -> String {
        let known: Vec<String> = self
            .named
            .iter()
            .filter(|(of, _)| *of == kind || (kind == "proposal" && *of == "draft"))
            .map(|(_, name)| name.clone())
            .collect();
        match known.is_empty() {
            true if kind == "node" => "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a".to_owned(),
            true => format!("${{{kind}0}}"),
            false => format!("${{{}}}", self.one(&known)),
        }
    }

    fn call(&self, operation: &str, path: String, body: Option<String>) -> Call {
        let (method, _) = request_of(operation);
        Call {
            operation: operation.to_owned(),
            method,
            path,
            body,
            ..Call::default()
        }
    }

    fn demand_body(&mut self) -> Value {
        let mut properties = json!({
            "golem.node.id.name": "requestor",
            "golem.node.debug.subnet": "devnet",
            "golem.srv.comp.expiration": EXPIRATION,
            // Real agents answer nobody without it; a devnet's does.
            "golem.com.payment.chosen-platform": "erc20-holesky-tglm",
            "golem.srv.comp.task_package": "hash:sha3:00000000000000000000000000000000000000000000000000000000:http://127.0.0.1/x",
        });
        for (key, value) in [
            ("golem.srv.caps.multi-activity", json!(true)),
            ("golem.com.scheme.payu.debit-note.interval-sec?", json!(120)),
            ("golem.com.payment.debit-notes.accept-timeout?", json!(240)),
            (
                "golem.com.payment.chosen-platform",
                json!("erc20-holesky-tglm"),
            ),
        ] {
            if self.chance(50) {
                properties[key] = value;
            }
        }
        json!({"properties": properties, "constraints": "(golem.node.debug.subnet=devnet)"})
    }

    /// Goes some way through the life of an agreement.
    fn prepare(&mut self) {
        let depth = match self.rng.random_range(0..100) {
            0..30 => 0,
            30..45 => 1,
            45..53 => 2,
            53..61 => 3,
            61..69 => 4,
            69..77 => 5,
            77..85 => 6,
            85..93 => 7,
            _ => 8,
        };
        if depth >= 1 {
            let call = self.allocation("5");
            self.calls.push(call);
        }
        if depth < 2 {
            return;
        }
        let body = self.demand_body();
        let demand = self.name("demand");
        let mut call = self.call(
            "subscribeDemand",
            "/market-api/v1/demands".into(),
            Some(written(&body)),
        );
        call.bind = vec![(demand.clone(), String::new())];
        self.calls.push(call);
        let collect = |draw: &mut Draw, state: &str, kind| {
            let path = format!("/market-api/v1/demands/${{{demand}}}/events");
            let mut call = draw.call("collectOffers", path, None);
            call.query = "timeout=1&maxEvents=10".into();
            call.until = Some(Until {
                at: "/proposal/state".into(),
                is: Some(state.into()),
            });
            let name = draw.name(kind);
            call.bind = vec![(name.clone(), "/proposal/proposalId".into())];
            if state == "Initial" {
                let node = draw.name("node");
                call.bind.push((node, "/proposal/issuerId".into()));
            }
            draw.calls.push(call);
            name
        };
        if depth < 3 {
            return;
        }
        let initial = collect(self, "Initial", "proposal");
        if depth < 4 {
            return;
        }
        let path = format!("/market-api/v1/demands/${{{demand}}}/proposals/${{{initial}}}");
        let mut call = self.call("counterProposalDemand", path, Some(written(&body)));
        let counter = self.name("proposal");
        call.bind = vec![(counter, String::new())];
        self.calls.push(call);
        let draft = collect(self, "Draft", "draft");
        if depth < 5 {
            return;
        }
        let body = json!({"proposalId": format!("${{{draft}}}"), "validTo": "${hour}"});
        let mut call = self.call(
            "createAgreement",
            "/market-api/v1/agreements".into(),
            Some(written(&body)),
        );
        let agreement = self.name("agreement");
        call.bind = vec![(agreement.clone(), String::new())];
        self.calls.push(call);
        if depth < 6 {
            return;
        }
        let path = format!("/market-api/v1/agreements/${{{agreement}}}");
        let call = self.call("confirmAgreement", format!("{path}/confirm"), None);
        self.calls.push(call);
        let mut call = self.call("waitForApproval", format!("{path}/wait"), None);
        call.query = "timeout=5".into();
        self.calls.push(call);
        if depth < 7 {
            return;
        }
        let text = json!({"agreementId": format!("${{{agreement}}}")}).to_string();
        let mut call = self.call(
            "createActivity",
            "/activity-api/v1/activity".into(),
            Some(text),
        );
        let activity = self.name("activity");
        call.bind = vec![(activity.clone(), "/activityId".into())];
        self.calls.push(call);
        if self.chance(70) {
            let script = json!([{"deploy": {}}, {"start": {}}]).to_string();
            self.run(&activity, script, true);
        }
        if depth < 8 {
            return;
        }
        let path = format!("/activity-api/v1/activity/${{{activity}}}");
        let call = self.call("destroyActivity", path, None);
        self.calls.push(call);
        let document =
            |draw: &mut Draw, operation: &str, list: &str, kind, id: &str, amount: &str| {
                let mut call = draw.call(operation, list.to_owned(), None);
                call.query = "afterTimestamp=${start}".into();
                call.until = Some(Until {
                    at: id.into(),
                    is: None,
                });
                let name = draw.name(kind);
                let due = draw.name("amount");
                call.bind = vec![(name, id.into()), (due, amount.into())];
                draw.calls.push(call);
            };
        document(
            self,
            "getDebitNotes",
            "/payment-api/v1/debitNotes",
            "note",
            "/debitNoteId",
            "/totalAmountDue",
        );
        let path = format!("/market-api/v1/agreements/${{{agreement}}}/terminate");
        let call = self.call(
            "terminateAgreement",
            path,
            Some(json!({"message": "done"}).to_string()),
        );
        self.calls.push(call);
        document(
            self,
            "getInvoices",
            "/payment-api/v1/invoices",
            "invoice",
            "/invoiceId",
            "/amount",
        );
    }

    fn allocation(&mut self, amount: &str) -> Call {
        let mut body = json!({"totalAmount": amount, "makeDeposit": false});
        match self.rng.random_range(0..6) {
            0 => body["paymentPlatform"] = json!("erc20-holesky-tglm"),
            1 => {
                body["paymentPlatform"] =
                    json!({"driver": "erc20", "network": "holesky", "token": "tglm"})
            }
            2 => body["timeout"] = json!("${hour}"),
            _ => {}
        }
        let mut call = self.call(
            "createAllocation",
            "/payment-api/v1/allocations".into(),
            Some(written(&body)),
        );
        let name = self.name("allocation");
        call.bind = vec![(name, "/allocationId".into())];
        call
    }

    /// Runs a script, and waits for its end.
    fn run(&mut self, activity: &str, script: String, wait: bool) {
        let path = format!("/activity-api/v1/activity/${{{activity}}}/exec");
        let mut call = self.call(
            "exec",
            path.clone(),
            Some(json!({"text": script}).to_string()),
        );
        let batch = self.name("batch");
        call.bind = vec![(batch.clone(), String::new())];
        self.calls.push(call);
        if wait {
            let mut call = self.call("getExecBatchResults", format!("{path}/${{{batch}}}"), None);
            call.query = "timeout=5".into();
            call.until = Some(Until {
                at: "/isBatchFinished".into(),
                is: Some("true".into()),
            });
            self.calls.push(call);
        }
    }

    fn script(&mut self) -> String {
        let commands = [
            json!({"deploy": {}}),
            json!({"start": {}}),
            json!({"start": {"args": ["a"]}}),
            json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "echo out; echo err >&2"]}}),
            json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "echo out"], "capture": {"stdout": {"atEnd": {"format": "str"}}}}}),
            json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "exit 3"]}}),
            json!({"run": {"entry_point": "/bin/false", "args": []}}),
            json!({"run": {"entry_point": "/no/such", "args": []}}),
            json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "sleep 1; echo late"]}}),
            json!({"run": {"entry_point": "/bin/sh", "args": ["-c", "echo $A"], "env": {"A": "1"}}}),
            json!({"run": {"args": ["x"]}}),
            json!({"sign": {}}),
            json!({"terminate": {}}),
            json!({"transfer": {"from": "container:/golem/work/a", "to": "container:/golem/work/b"}}),
            json!({"transfer": {"from": "nowhere:/x", "to": "container:/golem/work/b"}}),
            json!({"deploy": {"net": [], "hosts": {}, "env": {"A": "1"}}}),
            json!({"nothing": {}}),
            json!({}),
        ];
        let count = self.rng.random_range(0..4);
        let mut script: Vec<Value> = (0..count).map(|_| self.one(&commands)).collect();
        if self.chance(40) {
            let at = self.rng.random_range(0..=script.len());
            script.insert(at, commands[3].clone());
        }
        if self.chance(15) && !script.is_empty() {
            let at = self.rng.random_range(0..script.len());
            self.spoil_value(&mut script[at]);
        }
        Value::Array(script).to_string()
    }

    /// A call as a program would make it.
    fn valid(&mut self, name: &'static str) -> Call {
        let (_, pattern) = request_of(name);
        let mut path = String::new();
        for (at, part) in pattern.split(['{', '}']).enumerate() {
            if at % 2 == 0 {
                path += part;
            } else {
                path += &self.id(kind_of(part, &pattern));
            }
        }
        let mut call = self.call(name, path, None);
        let timeout = self.one(&[
            "timeout=0",
            "timeout=0.1",
            "timeout=0.5",
            "timeout=0.5&maxEvents=3",
        ]);
        match name {
            "createAllocation" => {
                let amount = self.one(&["1", "2.5", "0.1"]);
                return self.allocation(amount);
            }
            "subscribeDemand" => {
                let mut body = self.demand_body();
                if self.chance(40) {
                    body["constraints"] = json!(self.one(&CONSTRAINTS));
                }
                call.body = Some(written(&body));
                let demand = self.name("demand");
                call.bind = vec![(demand, String::new())];
            }
            "collectOffers" => {
                call.pause = 150;
                call.query = timeout.into();
            }
            "counterProposalDemand" => {
                let body = self.demand_body();
                call.body = Some(written(&body));
                let counter = self.name("proposal");
                call.bind = vec![(counter, String::new())];
            }
            "rejectProposalOffer" | "terminateAgreement" | "cancelAgreement" if self.chance(80) => {
                call.body = Some(json!({"message": "no", "golem.requestor.code": "X"}).to_string());
            }
            "createAgreement" => {
                let proposal = self.id("draft");
                let valid_to = self.one(&["${hour}", "${minute}", "${start}"]);
                call.body = Some(json!({"proposalId": proposal, "validTo": valid_to}).to_string());
                let agreement = self.name("agreement");
                call.bind = vec![(agreement, String::new())];
            }
            "waitForApproval" => call.query = self.one(&["timeout=0", "timeout=1"]).into(),
            "confirmAgreement" if self.chance(30) => call.query = "appSessionId=s1".into(),
            "collectAgreementEvents" | "getInvoiceEvents" | "getDebitNoteEvents" => {
                call.pause = 150;
                call.query = format!("afterTimestamp=${{start}}&{timeout}");
                if self.chance(20) {
                    call.query += "&appSessionId=s1";
                }
            }
            "listAgreements" => {
                call.query = self
                    .one(&[
                        "",
                        "state=Approved",
                        "state=Proposal",
                        "state=Terminated",
                        "afterDate=${start}",
                        "beforeDate=${start}",
                    ])
                    .into();
            }
            "createActivity" => {
                let agreement = self.id("agreement");
                call.query = self.one(&["", "", "timeout=5"]).into();
                call.body = Some(match self.chance(50) {
                    true => json!({"agreementId": agreement}).to_string(),
                    false => json!(agreement).to_string(),
                });
                let activity = self.name("activity");
                let text = call.body.as_ref().is_some_and(|body| body.starts_with('"'));
                call.bind = vec![(activity, if text { "" } else { "/activityId" }.into())];
            }
            "exec" => {
                let script = self.script();
                call.body = Some(json!({"text": script}).to_string());
                let batch = self.name("batch");
                call.bind = vec![(batch, String::new())];
            }
            "getExecBatchResults" => {
                call.query = self
                    .one(&[
                        "",
                        "timeout=0",
                        "timeout=1",
                        "timeout=1&commandIndex=0",
                        "timeout=1.5&commandIndex=1",
                        "maxItems=1&timeout=0",
                    ])
                    .into();
                if self.chance(15) {
                    call.headers
                        .push(("accept".into(), "text/event-stream".into()));
                    call.listen = 700;
                }
            }
            "getActivityState" | "getActivityUsage" => {
                call.query = self.one(&["", "", "timeout=1"]).into()
            }
            "amendAllocation" => {
                let amount = self.one(&["1", "7.5", "0"]);
                call.body = Some(match self.rng.random_range(0..3) {
                    0 => json!({"totalAmount": amount}).to_string(),
                    1 => json!({"timeout": "${hour}"}).to_string(),
                    _ => json!({"totalAmount": amount, "makeDeposit": false, "allocationId": "", "timeout": "${hour}"}).to_string(),
                });
            }
            "getAllocations" | "getInvoices" | "getDebitNotes" | "getPayments" => {
                call.pause = 150;
                call.query = self
                    .one(&[
                        "afterTimestamp=${start}",
                        "afterTimestamp=${start}&maxItems=1",
                        "afterTimestamp=${hour}",
                        "",
                    ])
                    .into();
                if name == "getPayments" {
                    call.query = format!("{}&timeout=0", call.query)
                        .trim_start_matches('&')
                        .to_owned();
                }
            }
            "getDemandDecorations" => {
                let (one, other) = (self.id("allocation"), self.id("allocation"));
                call.query = match self.chance(60) {
                    true => format!("allocationIds={one}"),
                    false => format!("allocationIds={one},{other}"),
                };
            }
            "acceptInvoice" | "acceptDebitNote" => {
                let (amount, allocation) = (self.id("amount"), self.id("allocation"));
                call.query = self.one(&["", "timeout=5"]).into();
                call.body = Some(
                    json!({"totalAmountAccepted": amount, "allocationId": allocation}).to_string(),
                );
            }
            "rejectInvoice" | "rejectDebitNote" => {
                call.body = Some(json!({"rejectionReason": "BAD_SERVICE", "totalAmountAccepted": "0", "message": "no"}).to_string());
            }
            "createNetwork" => {
                let ip = self.one(&["192.168.7.0/24", "192.168.7.0", "10.0.0.0/8", "10.1.0.1/16"]);
                let mut body = json!({"ip": ip});
                if self.chance(40) {
                    body["mask"] = json!("255.255.255.0");
                }
                if self.chance(40) {
                    body["gateway"] = json!("192.168.7.1");
                }
                call.body = Some(body.to_string());
                let network = self.name("network");
                call.bind = vec![(network, "/id".into())];
            }
            "addNode" => {
                let node = self.id("node");
                let ip = self.one(&["192.168.7.2", "192.168.7.3", "10.0.0.7"]);
                call.body = Some(json!({"id": node, "ip": ip}).to_string());
            }
            "addAddress" => {
                call.body = Some(
                    json!({"ip": self.one(&["192.168.7.4", "192.168.7.5", "10.0.0.9"])})
                        .to_string(),
                );
            }
            "bindServices" => {
                let on = self.one(&["/public/drawn/one", "/public/drawn/two", "/local/x"]);
                call.body = Some(
                    json!({"listen": {"on": on, "components": ["GetMetadata", "GetChunk"]}})
                        .to_string(),
                );
                let service = self.name("service");
                call.bind = vec![(service, "/servicesId".into())];
            }
            "beginScan" => {
                let mut body = json!({"type": "offer", "timeout": 10});
                if self.chance(60) {
                    body["constraints"] = json!(self.one(&CONSTRAINTS));
                }
                call.body = Some(body.to_string());
                let scan = self.name("scan");
                call.bind = vec![(scan, String::new())];
            }
            "getPaymentsStatus" => {
                call.query = self
                    .one(&["", "network=holesky", "driver=erc20", "network=nowhere"])
                    .into();
            }
            "collectActivityEvents" => call.query = timeout.into(),
            "collectScan" => {
                call.query = self
                    .one(&["timeout=0", "timeout=0.5&maxEvents=1", "timeout=1"])
                    .into()
            }
            _ => {}
        }
        let both_sides = [
            "listAgreements",
            "getAgreement",
            "terminateAgreement",
            "getTerminateReason",
            "collectAgreementEvents",
            "getActivityState",
            "getActivityUsage",
            "getActivityAgreement",
            "getOffers",
            "getIdentity",
            "confirmAgreement",
            "getProviderAccounts",
            "getInvoice",
            "getDebitNote",
        ];
        if both_sides.contains(&name) && self.chance(15) {
            call.who = Who::Provider;
        }
        call
    }
}
