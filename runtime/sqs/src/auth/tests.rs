//! AWS's published examples of Signature Version 4, and everything that may be wrong with a request.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::UNIX_EPOCH;

use axum::http::Request;

use super::*;

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const SCOPE: &str = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
const HOST: (&str, &str) = ("host", "example.amazonaws.com");
const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

/// The examples are for a service named "service".
fn guard() -> Guard {
    let keys = [AccessKey::new("OTHER", "other").unwrap(), AccessKey::new(KEY_ID, SECRET).unwrap()];
    Guard { service: "service", ..Guard::new(&keys, "us-east-1").unwrap() }
}

fn at(stamp: &str) -> SystemTime {
    Stamp::parse(stamp).unwrap().time()
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn judge(now: &str, parts: &Parts, body: &str) -> Result<(), Refusal> {
    guard().check_at(at(now), "service", parts, body.as_bytes()).map(drop)
}

/// `Authorization` and the date, as the examples write them.
fn signed(method: &str, uri: &str, headers: &[(&str, &str)], signed_headers: &str, signature: &str) -> Parts {
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders={signed_headers}, Signature={signature}");
    let own = [HOST, ("x-amz-date", DATE), ("authorization", authorization.as_str())];
    let all: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
    request(method, uri, &all)
}

fn presigned(method: &str, uri: &str, headers: &[(&str, &str)], signed_headers: &str, signature: &str) -> Parts {
    let joint = if uri.contains('?') { '&' } else { '?' };
    let credential = SCOPE.replace('/', "%2F");
    let signed_headers = signed_headers.replace(';', "%3B");
    let uri = format!(
        "{uri}{joint}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={DATE}\
         &X-Amz-SignedHeaders={signed_headers}&X-Amz-Expires=3600&X-Amz-Signature={signature}"
    );
    let all: Vec<_> = [HOST].into_iter().chain(headers.iter().copied()).collect();
    request(method, &uri, &all)
}

/// Name, method, path and query, headers beside host and date, signature in the header, signature in the query: the
/// `aws-signing-test-suite` that AWS's own signers are held to.
type Example = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], [&'static str; 2]);

const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const EXAMPLES: &[Example] = &[
    ("get-vanilla", "GET", "/", &[], [VANILLA, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"]),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/?Param2=value2&Param1=value1",
        &[],
        [
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
        ],
    ),
    (
        "get-vanilla-query-order-encoded",
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        [
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
        ],
    ),
    (
        "get-slashes-normalized",
        "GET",
        "//example//",
        &[],
        [
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
            "c1834e8fb0307243711f0f907f6ab7311ed300d87f13792d7ee4da89ab93e082",
        ],
    ),
    (
        "get-slash-pointless-dot-normalized",
        "GET",
        "/./example",
        &[],
        [
            "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
            "35034b1a0bdd969f346975386daf8aedfd4976573b8348cf4f67eaa41c5857de",
        ],
    ),
    (
        "get-relative-relative-normalized",
        "GET",
        "/example1/example2/../..",
        &[],
        [VANILLA, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"],
    ),
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        [
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            "3349ee0b81b4b589da0ff28a395c3591e04de515651dd74f298fa992d1507a97",
        ],
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        [
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            "e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4",
        ],
    ),
    (
        "post-header-value-case",
        "POST",
        "/",
        &[("my-header1", "VALUE1")],
        [
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            "0698bc9e4f7f9139065ba2909c0e99da257e8e2a42492a097bcd46d792391fed",
        ],
    ),
    (
        "post-vanilla-query",
        "POST",
        "/?Param1=value1",
        &[],
        [
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            "a9ef26247f293bffe40eeff86a0480ba8c14d31503b2e0c3399e3a16bf1a3682",
        ],
    ),
];

fn signed_names(own: &[&str], headers: &[(&str, &str)]) -> String {
    let mut names: Vec<&str> = own.iter().copied().chain(headers.iter().map(|(name, _)| *name)).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

#[test]
fn awss_published_examples_pass_in_both_forms() {
    for (name, method, uri, headers, [in_header, in_query]) in EXAMPLES {
        let parts = signed(method, uri, headers, &signed_names(&["host", "x-amz-date"], headers), in_header);
        assert_eq!(judge(DATE, &parts, ""), Ok(()), "{name} in the header");
        let parts = presigned(method, uri, headers, &signed_names(&["host"], headers), in_query);
        assert_eq!(judge(DATE, &parts, ""), Ok(()), "{name} in the query");
    }
    let unreserved = format!("/?{UNRESERVED}={UNRESERVED}");
    let signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197";
    let parts = signed("GET", &unreserved, &[], "host;x-amz-date", signature);
    assert_eq!(judge(DATE, &parts, ""), Ok(()), "get-vanilla-query-unreserved");
}

/// `post-x-www-form-urlencoded`: content length, content type and the body's hash are signed.
fn form(body_hash: &str) -> Parts {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "13"),
        ("x-amz-content-sha256", body_hash),
    ];
    let signature = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b";
    signed("POST", "/", &headers, &signed_names(&["host", "x-amz-date"], &headers), signature)
}

#[test]
fn the_body_is_signed_too() {
    let body_hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    assert_eq!(judge(DATE, &form(body_hash), "Param1=value1"), Ok(()));
    let mismatch = Err(Refusal::DoesNotMatch(MISMATCH.into()));
    assert_eq!(judge(DATE, &form(body_hash), "Param1=value2"), mismatch);
    // That the payload is not signed must itself have been signed.
    assert_eq!(judge(DATE, &form(UNSIGNED_PAYLOAD), "Param1=value2"), mismatch);
}

#[test]
fn whatever_is_changed_under_way_is_noticed() {
    let mismatch = Err(Refusal::DoesNotMatch(MISMATCH.into()));
    for (what, method, uri, headers, names, signature) in [
        ("method", "POST", "/", &[][..], "host;x-amz-date", VANILLA),
        ("path", "GET", "/a", &[], "host;x-amz-date", VANILLA),
        ("query", "GET", "/?a=b", &[], "host;x-amz-date", VANILLA),
        ("a header more", "GET", "/", &[("a", "b")], "a;host;x-amz-date", VANILLA),
        ("a header that is not there", "GET", "/", &[], "a;host;x-amz-date", VANILLA),
        ("a name in capitals", "GET", "/", &[], "Host;host;x-amz-date", VANILLA),
        ("the date's header left out", "GET", "/", &[], "host", VANILLA),
        ("a host twice", "GET", "/", &[HOST], "host;x-amz-date", VANILLA),
        ("signature", "GET", "/", &[], "host;x-amz-date", &VANILLA[1..]),
        ("signature in capitals", "GET", "/", &[], "host;x-amz-date", &VANILLA.to_ascii_uppercase()),
        ("not text", "GET", "/", &[("a", "größe")], "a;host;x-amz-date", VANILLA),
        ("too long", "GET", &format!("/?{}", "+".repeat(40_000)), &[], "host;x-amz-date", VANILLA),
    ] {
        assert_eq!(judge(DATE, &signed(method, uri, headers, names, signature), ""), mismatch, "{what}");
    }
    let unsigned = signed("GET", "/", &[("user-agent", "a proxy's")], "host;x-amz-date", VANILLA);
    assert_eq!(judge(DATE, &unsigned, ""), Ok(()), "what is not signed may change");
    let spaced = format!("AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders=host;x-amz-date,Signature={VANILLA}");
    let dated = [HOST, ("x-amz-date", DATE), ("authorization", &spaced)];
    assert_eq!(judge(DATE, &request("GET", "/", &dated), ""), Ok(()), "commas without spaces");
    let absolute = [("x-amz-date", DATE), ("authorization", &spaced)];
    let absolute = request("GET", "http://example.amazonaws.com/", &absolute);
    assert_eq!(judge(DATE, &absolute, ""), Ok(()), "a proxy's way to name the host");
}

#[test]
fn a_signature_counts_for_a_quarter_of_an_hour_either_way() {
    let parts = signed("GET", "/", &[], "host;x-amz-date", VANILLA);
    for now in ["20150830T122100Z", "20150830T125100Z"] {
        assert_eq!(judge(now, &parts, ""), Ok(()), "{now}");
    }
    let text = |now| judge(now, &parts, "").unwrap_err().text().into_owned();
    assert_eq!(
        text("20150830T125101Z"),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        text("20150830T122059Z"),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
    let before_time_began = guard().check_at(UNIX_EPOCH, "service", &parts, b"").unwrap_err();
    assert!(before_time_began.text().starts_with("Signature not yet current"));
}

#[test]
fn a_presigned_url_counts_until_it_expires() {
    let signature = "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d";
    let parts = presigned("GET", "/", &[], "host", signature);
    assert_eq!(judge("20150830T133600Z", &parts, ""), Ok(()));
    let late = judge("20150830T133601Z", &parts, "").unwrap_err().text().into_owned();
    assert!(late.starts_with("Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z"), "{late}");
    for expires in ["0", "604801", "-1", "soon", "18446744073709551616"] {
        let uri = parts.uri.to_string().replace("Expires=3600", &format!("Expires={expires}"));
        let refused = judge(DATE, &request("GET", &uri, &[HOST]), "").unwrap_err();
        assert!(matches!(&refused, Refusal::Incomplete(text) if text.contains("604800")), "{expires}: {refused:?}");
    }
    let uri = parts.uri.to_string().replace("Expires=3600", "Expires=604800");
    let stretched = judge(DATE, &request("GET", &uri, &[HOST]), "");
    assert_eq!(stretched, Err(Refusal::DoesNotMatch(MISMATCH.into())), "how long is signed, too");
}

/// Refusals in AWS's order; each row has everything right that stands before its own fault.
#[test]
fn what_is_wrong_is_said_as_aws_says_it() {
    let header = |authorization: &str, more: &[(&str, &str)]| {
        let all: Vec<_> = [HOST, ("authorization", authorization)].into_iter().chain(more.iter().copied()).collect();
        judge(DATE, &request("POST", "/", &all), "").unwrap_err()
    };
    let dated = [("x-amz-date", DATE)];
    let full = |credential: &str, names: &str| {
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature=00")
    };
    let whole = full(SCOPE, "host;x-amz-date");

    assert_eq!(judge(DATE, &request("POST", "/", &[HOST]), "").unwrap_err(), Refusal::MissingToken);
    assert_eq!(judge(DATE, &request("GET", "/?Action=ListQueues", &[HOST]), "").unwrap_err(), Refusal::MissingToken);
    assert_eq!(header("Basic dXNlcjpwYXNz", &dated), Refusal::MissingToken);
    for (refused, part) in [
        (
            header("AWS4-HMAC-SHA256", &dated),
            "requires 'Credential' parameter. Authorization header requires 'Signature'",
        ),
        (header("AWS4-HMAC-SHA256 Credential=a, Signature", &dated), "'Signature' not a valid key=value pair"),
        (header(&whole, &[]), "existence of either a 'X-Amz-Date' or a 'Date' header"),
        (header(&whole, &[("x-amz-date", "201")]), "Date must be in ISO-8601 'basic format'. Got '201'."),
        (header(&whole.replace("SHA256", "SHA1"), &dated), "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"),
        (header(&full("a/b/c/d", "host"), &dated), "exactly 5 slash-delimited elements"),
    ] {
        assert!(matches!(&refused, Refusal::Incomplete(text) if text.contains(part)), "{part}: {refused:?}");
    }
    for (refused, part) in [
        (header(&full(SCOPE, "x-amz-date"), &dated), "'Host' must be a 'SignedHeader'"),
        (
            header(&whole, &[("x-amz-date", DATE), ("x-amz-target", "AmazonSQS.DeleteQueue")]),
            "'X-Amz-Target' must be a 'SignedHeader'",
        ),
        (header(&full(&SCOPE.replace("us-east-1", "eu-west-1"), "host"), &dated), "to a valid region, not 'eu-west-1'"),
        (header(&full(&SCOPE.replace("/service", "/s3"), "host"), &dated), "to correct service: 'service'"),
        (header(&full(&SCOPE.replace("aws4_", "aws5_"), "host"), &dated), "'aws4_request', not 'aws5_request'"),
        (
            header(&full(&SCOPE.replace("0830", "0829"), "host"), &dated),
            "'20150829' != '20150830', from '20150830T123600Z'",
        ),
    ] {
        assert!(matches!(&refused, Refusal::DoesNotMatch(text) if text.contains(part)), "{part}: {refused:?}");
    }
    assert_eq!(header(&full(&SCOPE.replace("AKID", "NONE"), "host"), &dated), Refusal::UnknownKey);
    assert_eq!(header(&whole, &[("x-amz-date", DATE), ("x-amz-security-token", "t")]), Refusal::UnknownKey);

    let partly = judge(DATE, &request("GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x", &[HOST]), "");
    let text = partly.unwrap_err().text().into_owned();
    assert!(text.contains("must include 'X-Amz-Signature'") && !text.contains("'X-Amz-Date'"), "{text}");
}

#[test]
fn secrets_do_not_print() {
    let key = AccessKey::new("someone", "hunter2").unwrap();
    let printed = format!("{key:?} {:?}", Guard::new(std::slice::from_ref(&key), "us-east-1"));
    assert!(printed.contains("someone") && !printed.contains("hunter2"), "{printed}");
    for (id, secret, wrong) in [
        ("", "x", NotAnAccessKey::Id),
        ("a/b", "x", NotAnAccessKey::Id),
        ("a b", "x", NotAnAccessKey::Id),
        ("a", "", NotAnAccessKey::Secret),
        ("a", "with space", NotAnAccessKey::Secret),
        ("a", "größe", NotAnAccessKey::Secret),
    ] {
        assert_eq!(AccessKey::new(id, secret), Err(wrong));
        assert!(secret.is_empty() || secret == "x" || !wrong.to_string().contains(secret));
    }
    assert!(Guard::new(&[], "us-east-1").is_none());
}
