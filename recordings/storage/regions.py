"""Where objects may be kept: places in the European Union, known by (endpoint host, region).

A region name alone proves nothing: eu-west-1 is Ireland at AWS and the United Kingdom at Wasabi,
eu-central-2 is Zurich at AWS and Frankfurt at Wasabi. So every pair that is allowed is written down
here, and anything else is refused before a connection is opened. A host that does not say where
it keeps things (s3.amazonaws.com, storage.googleapis.com, acceleration endpoints) is never allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from recordings.storage.store import StoreRefused


class PlaceRefused(StoreRefused):
    """Objects may be kept only at a known place in the European Union."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One allowed place. origin: scheme, host and port that every request goes to.

    tells_region: the provider always says a bucket's region (x-amz-bucket-region), so silence is
    refused; elsewhere the host name itself names the region.
    """

    provider: str
    origin: str
    region: str
    where: str
    operator_outside_eu: bool
    tells_region: bool
    loopback: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Provider:
    """hosts: patterns with {region} or {account}; places: region -> where it is."""

    name: str
    hosts: tuple[str, ...]
    places: Mapping[str, str]
    operator_outside_eu: bool = False
    tells_region: bool = False


_PROVIDERS = (
    _Provider(
        name="AWS",
        hosts=("s3.{region}.amazonaws.com", "s3.dualstack.{region}.amazonaws.com"),
        places={
            "eu-central-1": "Frankfurt, Germany",
            "eu-west-1": "Dublin, Ireland",
            "eu-west-3": "Paris, France",
            "eu-north-1": "Stockholm, Sweden",
            "eu-south-1": "Milan, Italy",
            "eu-south-2": "Aragon, Spain",
        },
        operator_outside_eu=True,
        tells_region=True,
    ),
    _Provider(
        name="AWS European Sovereign Cloud",
        hosts=("s3.{region}.amazonaws.eu",),
        places={"eusc-de-east-1": "Brandenburg, Germany"},
        operator_outside_eu=True,
        tells_region=True,
    ),
    _Provider(
        name="Scaleway",
        hosts=("s3.{region}.scw.cloud",),
        places={"fr-par": "Paris, France", "nl-ams": "Amsterdam, Netherlands", "pl-waw": "Warsaw, Poland"},
    ),
    _Provider(
        name="OVHcloud",
        hosts=("s3.{region}.io.cloud.ovh.net",),
        places={
            "gra": "Gravelines, France",
            "sbg": "Strasbourg, France",
            "rbx": "Roubaix, France",
            "de": "Frankfurt, Germany",
            "waw": "Warsaw, Poland",
            "eu-west-par": "Paris, France",
            "eu-south-mil": "Milan, Italy",
        },
    ),
    _Provider(
        name="Hetzner",
        hosts=("{region}.your-objectstorage.com",),
        places={"fsn1": "Falkenstein, Germany", "nbg1": "Nuremberg, Germany", "hel1": "Helsinki, Finland"},
    ),
    _Provider(
        name="Exoscale",
        hosts=("sos-{region}.exo.io",),
        places={
            "de-fra-1": "Frankfurt, Germany",
            "de-muc-1": "Munich, Germany",
            "at-vie-1": "Vienna, Austria",
            "at-vie-2": "Vienna, Austria",
            "bg-sof-1": "Sofia, Bulgaria",
            "hr-zag-1": "Zagreb, Croatia",
        },
    ),
    _Provider(
        name="IONOS",
        hosts=("s3.{region}.ionoscloud.com",),
        places={
            "de": "Frankfurt, Germany",
            "eu-central-2": "Berlin, Germany",
            "eu-central-3": "Berlin, Germany",
            "eu-south-2": "Logrono, Spain",
        },
    ),
    # The region that requests are signed for is "de", the host says eu-central-1.
    _Provider(name="IONOS", hosts=("s3.eu-central-1.ionoscloud.com",), places={"de": "Frankfurt, Germany"}),
    _Provider(
        name="Wasabi",
        hosts=("s3.{region}.wasabisys.com",),
        places={
            "eu-central-1": "Amsterdam, Netherlands",
            "eu-central-2": "Frankfurt, Germany",
            "eu-west-2": "Paris, France",
            "eu-south-1": "Milan, Italy",
        },
        operator_outside_eu=True,
    ),
    _Provider(
        name="Leaseweb",
        hosts=("{region}.object-storage.io",),
        places={"nl": "Netherlands", "de": "Germany"},
    ),
    _Provider(
        name="Open Telekom Cloud",
        hosts=("obs.{region}.otc.t-systems.com",),
        places={"eu-de": "Magdeburg, Germany", "eu-nl": "Amsterdam, Netherlands"},
    ),
    _Provider(
        name="Cloudflare R2, jurisdiction EU",
        hosts=("{account}.eu.r2.cloudflarestorage.com",),
        places={"auto": "somewhere in the European Union"},
        operator_outside_eu=True,
    ),
    _Provider(
        name="Backblaze B2",
        hosts=("s3.{region}.backblazeb2.com",),
        places={"eu-central-003": "Amsterdam, Netherlands"},
        operator_outside_eu=True,
    ),
    # The global host serves buckets of any place; a regional endpoint only those of its own.
    _Provider(
        name="Google Cloud Storage",
        hosts=("storage.{region}.rep.googleapis.com",),
        places={
            "europe-west1": "Belgium",
            "europe-west3": "Frankfurt, Germany",
            "europe-west4": "Netherlands",
            "europe-west8": "Milan, Italy",
            "europe-west9": "Paris, France",
            "europe-west10": "Berlin, Germany",
            "europe-west12": "Turin, Italy",
            "europe-north1": "Finland",
            "europe-north2": "Stockholm, Sweden",
            "europe-central2": "Warsaw, Poland",
            "europe-southwest1": "Madrid, Spain",
        },
        operator_outside_eu=True,
    ),
    _Provider(
        name="DigitalOcean Spaces",
        hosts=("{region}.digitaloceanspaces.com",),
        places={"ams3": "Amsterdam, Netherlands", "fra1": "Frankfurt, Germany"},
        operator_outside_eu=True,
    ),
)


def known_places() -> tuple[str, ...]:
    """Where objects may be kept, in words, each once."""
    return tuple(dict.fromkeys(where for provider in _PROVIDERS for where in provider.places.values()))


def place_of(endpoint: str, region: str, *, loopback_allowed: bool = False) -> Place:
    """The allowed place that `endpoint` (a URL) and `region` name together. Raises PlaceRefused.

    loopback_allowed: also take 127.0.0.0/8 and ::1, which only development and tests may do.
    """
    origin, host = _origin(endpoint)
    if _is_loopback(host):
        if not loopback_allowed:
            raise PlaceRefused("A store on this machine itself is only for development and tests.")
        return Place(
            provider="an S3 service",
            origin=origin,
            region=region,
            where="this machine",
            operator_outside_eu=False,
            tells_region=False,
            loopback=True,
        )
    if not origin.startswith("https://") or origin != f"https://{host}":
        raise PlaceRefused("The endpoint has to be https, without a port.")
    for provider in _PROVIDERS:
        if region in provider.places and any(_matches(pattern, region, host) for pattern in provider.hosts):
            return Place(
                provider=provider.name,
                origin=origin,
                region=region,
                where=provider.places[region],
                operator_outside_eu=provider.operator_outside_eu,
                tells_region=provider.tells_region,
            )
    raise PlaceRefused(f"{host} with region {region!r} is not one.")


def confirm_region(place: Place, told: str | None) -> None:
    """Compare what the store says of a bucket (x-amz-bucket-region) with `place`. Raises PlaceRefused."""
    if place.loopback:
        return
    if told is None and place.tells_region:
        raise PlaceRefused(f"{place.provider} did not say in which region the bucket lies.")
    if told is not None and told != place.region:
        raise PlaceRefused(f"The bucket lies in {told!r}, not in {place.region!r}.")


def _origin(endpoint: str) -> tuple[str, str]:
    """Origin (scheme, host, port) and host of a URL that has nothing else. Raises PlaceRefused."""
    try:
        parts = urlsplit(endpoint)
        port, host = parts.port, parts.hostname or ""
    except ValueError as wrong:
        raise PlaceRefused("The endpoint is not a URL.") from wrong
    extra = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not host or extra:
        raise PlaceRefused("The endpoint has to be a URL with nothing but a host.")
    netloc = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{netloc}" + ("" if port is None else f":{port}"), host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _matches(pattern: str, region: str, host: str) -> bool:
    expected = re.escape(pattern.replace("{region}", region)).replace(re.escape("{account}"), "[0-9a-f]{32}")
    return re.fullmatch(expected, host) is not None
