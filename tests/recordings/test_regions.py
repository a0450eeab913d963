"""Objects go only to known places in the European Union, decided by (endpoint host, region)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recordings.storage.regions import Place, PlaceRefused, confirm_region, place_of
from recordings.storage.s3 import S3Store
from recordings.storage.store import StoreRefused

R2 = "0123456789abcdef0123456789abcdef"

IN_THE_EU = [
    *(
        (f"s3.{r}.amazonaws.com", r)
        for r in ("eu-central-1", "eu-west-1", "eu-west-3", "eu-north-1", "eu-south-1", "eu-south-2")
    ),
    ("s3.dualstack.eu-central-1.amazonaws.com", "eu-central-1"),
    ("s3.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    *((f"s3.{r}.scw.cloud", r) for r in ("fr-par", "nl-ams", "pl-waw")),
    *((f"s3.{r}.io.cloud.ovh.net", r) for r in ("gra", "sbg", "rbx", "de", "waw", "eu-west-par", "eu-south-mil")),
    *((f"{r}.your-objectstorage.com", r) for r in ("fsn1", "nbg1", "hel1")),
    *((f"sos-{r}.exo.io", r) for r in ("de-fra-1", "de-muc-1", "at-vie-1", "at-vie-2", "bg-sof-1", "hr-zag-1")),
    *((f"s3.{r}.ionoscloud.com", r) for r in ("de", "eu-central-2", "eu-central-3", "eu-south-2")),
    ("s3.eu-central-1.ionoscloud.com", "de"),
    *((f"s3.{r}.wasabisys.com", r) for r in ("eu-central-1", "eu-central-2", "eu-west-2", "eu-south-1")),
    *((f"{r}.object-storage.io", r) for r in ("nl", "de")),
    *((f"obs.{r}.otc.t-systems.com", r) for r in ("eu-de", "eu-nl")),
    (f"{R2}.eu.r2.cloudflarestorage.com", "auto"),
    ("s3.eu-central-003.backblazeb2.com", "eu-central-003"),
    *(
        (f"storage.europe-{r}.rep.googleapis.com", f"europe-{r}")
        for r in ("west1", "west3", "west4", "west8", "west9", "west10", "west12")
        + ("north1", "north2", "central2", "southwest1")
    ),
    *((f"{r}.digitaloceanspaces.com", r) for r in ("ams3", "fra1")),
]

NOT_IN_THE_EU = [
    # they look as if
    ("s3.eu-west-2.amazonaws.com", "eu-west-2"),
    ("s3.eu-central-2.amazonaws.com", "eu-central-2"),
    ("s3.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
    ("s3.eu-isoe-west-1.amazonaws.com", "eu-isoe-west-1"),
    ("s3.eu-west-1.wasabisys.com", "eu-west-1"),
    ("s3.eu-west-3.wasabisys.com", "eu-west-3"),
    ("sos-ch-gva-2.exo.io", "ch-gva-2"),
    ("sos-ch-dk-2.exo.io", "ch-dk-2"),
    ("s3.uk.io.cloud.ovh.net", "uk"),
    ("s3.bhs.io.cloud.ovh.net", "bhs"),
    ("s3.ca-east-tor.io.cloud.ovh.net", "ca-east-tor"),
    ("s3.ap-southeast-mum.io.cloud.ovh.net", "ap-southeast-mum"),
    ("s3.eu-central-4.ionoscloud.com", "eu-central-4"),
    ("s3.us-central-1.ionoscloud.com", "us-central-1"),
    ("obs.eu-ch2.otc.t-systems.com", "eu-ch2"),
    (f"{R2}.r2.cloudflarestorage.com", "auto"),
    (f"{R2}.fedramp.r2.cloudflarestorage.com", "auto"),
    ("s3.us-west-004.backblazeb2.com", "us-west-004"),
    ("storage.europe-west2.rep.googleapis.com", "europe-west2"),
    ("storage.europe-west6.rep.googleapis.com", "europe-west6"),
    ("lon1.digitaloceanspaces.com", "lon1"),
    # the host does not say where
    ("s3.amazonaws.com", "us-east-1"),
    ("s3.amazonaws.com", "eu-central-1"),
    ("s3-accelerate.amazonaws.com", "eu-central-1"),
    ("s3-accelerate.dualstack.amazonaws.com", "eu-central-1"),
    ("accesspoint.s3-global.amazonaws.com", "eu-central-1"),
    ("mine.mrap.accesspoint.s3-global.amazonaws.com", "eu-central-1"),
    ("storage.googleapis.com", "europe-west3"),
    ("s3.us-east-1.amazonaws.com", "us-east-1"),
    # the region is allowed, but not with this host
    ("s3.eu-central-1.amazonaws.com", "us-east-1"),
    ("s3.us-east-1.amazonaws.com", "eu-central-1"),
    ("s3.eu-west-1.wasabisys.com", "eu-central-1"),
    ("s3.eu-central-1.amazonaws.com", "eu-west-1"),
    ("s3.eu-central-1.amazonaws.com", ""),
    ("s3..amazonaws.com", ""),
    # lookalikes
    ("s3.eu-central-1.amazonaws.com.example.org", "eu-central-1"),
    ("evil-s3.eu-central-1.amazonaws.com", "eu-central-1"),
    ("bucket.s3.eu-central-1.amazonaws.com", "eu-central-1"),
    ("s3xeu-central-1.amazonaws.com", "eu-central-1"),
    ("s3.eu-central-1.amazonaws.com.", "eu-central-1"),
    ("s3.eu-central-1.amazonaws.cn", "eu-central-1"),
    ("x.eu.r2.cloudflarestorage.com", "auto"),
    ("eu-central-1", "eu-central-1"),
    ("minio", "eu-central-1"),
    # plain addresses
    ("52.219.47.1", "eu-central-1"),
    ("192.168.1.5", "eu-central-1"),
    ("[2a05:d050::1]", "eu-central-1"),
    ("0.0.0.0", "eu-central-1"),
    ("169.254.169.254", "eu-central-1"),
]


@pytest.mark.parametrize(("host", "region"), IN_THE_EU)
def test_places_in_the_eu_are_accepted(host: str, region: str) -> None:
    place = place_of(f"https://{host}", region)
    assert (place.origin, place.region, place.loopback) == (f"https://{host}", region, False)
    assert place.where and place.provider
    assert place_of(f"https://{host.upper()}/", region) == place


@pytest.mark.parametrize(("host", "region"), NOT_IN_THE_EU)
@pytest.mark.parametrize("loopback_allowed", [False, True])
def test_places_that_are_not_are_refused(host: str, region: str, loopback_allowed: bool) -> None:
    with pytest.raises(PlaceRefused, match="only at a known place in the European Union") as refused:
        place_of(f"https://{host}", region, loopback_allowed=loopback_allowed)
    assert not refused.value.retry
    assert isinstance(refused.value, StoreRefused)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://s3.eu-central-1.amazonaws.com",
        "ftp://s3.eu-central-1.amazonaws.com",
        "s3.eu-central-1.amazonaws.com",
        "https://s3.eu-central-1.amazonaws.com:8443",
        "https://user@s3.eu-central-1.amazonaws.com",
        "https://s3.eu-central-1.amazonaws.com@example.org",
        "https://s3.eu-central-1.amazonaws.com/path",
        "https://s3.eu-central-1.amazonaws.com?x=1",
        "https://s3.eu-central-1.amazonaws.com#x",
        "https://example.org/?s3.eu-central-1.amazonaws.com",
        "https://[broken",
        "https://s3.eu-central-1.amazonaws.com:port",
        "https://",
        "",
    ],
)
def test_endpoints_with_anything_but_an_https_host_are_refused(endpoint: str) -> None:
    with pytest.raises(PlaceRefused):
        place_of(endpoint, "eu-central-1")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "https://127.0.0.5", "http://[::1]:8333"])
def test_loopback_is_only_for_development_and_tests(endpoint: str) -> None:
    with pytest.raises(PlaceRefused, match="development and tests"):
        place_of(endpoint, "local")
    place = place_of(endpoint, "local", loopback_allowed=True)
    assert (place.origin, place.loopback) == (endpoint, True)


@pytest.mark.parametrize("endpoint", ["http://localhost:8333", "http://10.0.0.1", "http://127.0.0.1.example.org"])
def test_development_opens_loopback_addresses_and_nothing_more(endpoint: str) -> None:
    with pytest.raises(PlaceRefused):
        place_of(endpoint, "local", loopback_allowed=True)


def test_an_eu_place_run_by_a_company_outside_says_so() -> None:
    assert place_of("https://s3.eu-central-1.amazonaws.com", "eu-central-1").operator_outside_eu
    assert not place_of("https://s3.fr-par.scw.cloud", "fr-par").operator_outside_eu


def test_the_bucket_has_to_lie_in_the_region_it_was_configured_for() -> None:
    aws = place_of("https://s3.eu-central-1.amazonaws.com", "eu-central-1")
    confirm_region(aws, "eu-central-1")
    for told in ("us-east-1", "eu-west-2", "EU", ""):
        with pytest.raises(PlaceRefused, match="lies in"):
            confirm_region(aws, told)


def test_silence_about_the_region_is_enough_only_where_the_host_itself_proves_it() -> None:
    with pytest.raises(PlaceRefused, match="did not say"):
        confirm_region(place_of("https://s3.eu-central-1.amazonaws.com", "eu-central-1"), None)
    confirm_region(place_of("https://fsn1.your-objectstorage.com", "fsn1"), None)
    with pytest.raises(PlaceRefused):
        confirm_region(place_of("https://fsn1.your-objectstorage.com", "fsn1"), "us-east-1")


class Elsewhere:
    """An S3 service on loopback that answers every request with a redirect, and counts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 301
        self.headers: dict[str, str] = {}
        self.body = b""
        outer = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # answers "Expect: 100-continue" at once

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append(f"{self.command} {self.headers['Host']}")
                self.send_response(outer.status)
                body = b"" if self.command == "HEAD" else outer.body
                for name, value in (outer.headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, format: str, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.host = f"127.0.0.1:{self.server.server_port}"

    def store(self, **as_if: object) -> S3Store:
        place = place_of(f"http://{self.host}", "eu-central-1", loopback_allowed=True)
        values = {name: getattr(place, name) for name in Place.__slots__} | as_if
        return S3Store(Place(**values), bucket="bucket", access_key="a", secret="s")


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    service = Elsewhere()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join(5)


@pytest.mark.parametrize("status", [301, 307])
def test_a_bucket_that_says_it_lies_in_another_region_is_not_followed_there(elsewhere: Elsewhere, status: int) -> None:
    elsewhere.status = status
    elsewhere.headers = {"x-amz-bucket-region": "us-east-1", "Location": "http://127.0.0.2:9/"}
    code = {301: "PermanentRedirect", 307: "TemporaryRedirect"}[status]
    elsewhere.body = f"<Error><Code>{code}</Code><Endpoint>s3.us-east-1.amazonaws.com</Endpoint></Error>".encode()
    store = elsewhere.store()
    for ask in (
        lambda: store.put("x", b"secret"),
        lambda: store.get("x"),
        lambda: list(store.remains("x")),
        store.check,
    ):
        with pytest.raises(PlaceRefused):
            ask()
    assert elsewhere.asked and {line.split()[1] for line in elsewhere.asked} == {elsewhere.host}


def test_a_request_that_would_leave_the_allowed_origin_is_stopped_before_it_is_sent(elsewhere: Elsewhere) -> None:
    store = elsewhere.store()

    def moved(request_dict: dict[str, str] | None = None, params: dict[str, str] | None = None, **_: object) -> None:
        assert params is not None
        params["url"] = params["url"].replace("127.0.0.1", "127.0.0.2")

    store._client.meta.events.register("before-call.s3", moved)
    with pytest.raises(PlaceRefused, match="another host"):
        store.put("x", b"secret")
    assert elsewhere.asked == []


def test_check_refuses_a_bucket_whose_region_does_not_agree(elsewhere: Elsewhere) -> None:
    elsewhere.status = 200
    store = elsewhere.store(loopback=False, tells_region=True)
    with pytest.raises(PlaceRefused, match="did not say"):
        store.check()
    elsewhere.headers = {"x-amz-bucket-region": "us-east-1"}
    with pytest.raises(PlaceRefused, match="lies in 'us-east-1'"):
        store.check()
    assert {line.split()[0] for line in elsewhere.asked} == {"HEAD"}


def test_a_proxy_named_in_the_environment_is_not_used(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    elsewhere.status, elsewhere.body = 200, b"stored"
    assert elsewhere.store().get("x") == b"stored"


def test_configuration_in_the_environment_does_not_move_the_endpoint(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    elsewhere.status, elsewhere.body = 200, b"stored"
    assert elsewhere.store().get("x") == b"stored"
