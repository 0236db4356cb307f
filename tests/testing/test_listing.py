"""Read all as the embedded server answers it: filters, sort, pages, and queries without sense."""

import http.client
import json
from contextlib import closing
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from nuvo_async.testing import NuvoServer
from tests.testing.conftest import get, session_of, start_five

# What once was an error within the server, or could be.
NONSENSE = [
    "sort[a][b]=x",
    "filters[a][0][$ne]=x",
    "filters[a][0][b]=x",
    "filters" + "[a]" * 600 + "=x",
    "pagination[limit]=" + "9" * 5000,
    "filters[a][" + "9" * 5000 + "][b]=x&filters[a][0]=y&sort=z",
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("filters[pipeline]=a", [0, 2, 4]),
        ("filters[pipeline]=a&filters[trigger_type]=MANUAL", [0, 4]),
        ("filters[pipeline][$ne]=a", [1, 3]),
        ("filters[status][$eq]=FAILED", [1, 3]),
        ("filters[trigger_type][$in][0]=EVENT&filters[trigger_type][$in][1]=SCHEDULED", [2, 3]),
        ("filters[trigger_type][$in]=EVENT", [3]),
        ("filters[trigger_type][$in][]=EVENT&filters[trigger_type][$in][]=SCHEDULED", [2, 3]),
        ("filters[trigger_type][0]=EVENT&filters[trigger_type][1]=SCHEDULED", [2, 3]),
        ("filters[created_by][name]=A%20User", [0, 1, 4]),
        ("filters[created_by.name][$ne]=A%20User", [2, 3]),
        ("filters[error][type]=PARSING_FAILURE", [1, 3]),
        ("filters[created_at][$gte]=2020-01-01", [0, 1, 2, 3, 4]),
        ("filters[created_at][$lt]=2020-01-01T00:00:00%2B02:00", []),
        ("filters[created_at][$gt]=tomorrow", []),
        ("filters[nothing]=1", []),
        ("sort[pipeline]=desc", [1, 3, 0, 2, 4]),
        ("sort[pipeline]=asc&sort[trigger_type]=desc", [2, 0, 4, 1, 3]),
        ("sort[created_by.name]=asc", [2, 3, 0, 1, 4]),
        ("pagination[limit]=2", [0, 1]),
        ("pagination[limit]=2&pagination[offset]=3", [3, 4]),
        ("pagination[offset]=9", []),
        ("options[attach_meta]=true", [0, 1, 2, 3, 4]),
    ],
)
async def test_read_all_filters_sorts_and_pages(http, five, query, expected):
    answer = await get(http, f"execution/?{query}")
    assert [five.index(one["id"]) for one in answer["data"]] == expected
    assert not {"logs", "configuration"} & set().union(*answer["data"], set())


@pytest.mark.parametrize(
    "query",
    [
        "filters[status][$like]=x",
        "filters[status][$gt][0]=x",
        "filters[status][$in][0][x]=x",
        "filters=x",
        "sort[id]=up",
        "sort=id",
        "pagination[limit]=0",
        "pagination[limit]=many",
        "pagination[offset]=-1",
        "other=1",
        "[a]=1",
        "pagination[page]=2",
        "options=x",
        "filters[a]=1&filters[a][b]=2",
        "filters[a][b]=2&filters[a]=1",
        "filters[a]=1&filters[a]=2",
        "filters[a][]=1&filters[a][0]=2",
        "filters[$in]=x",
        "a",
        *NONSENSE,
    ],
)
async def test_a_query_that_makes_no_sense_is_unprocessable(http, query):
    assert (await get(http, f"execution/?{query}", 422))["message"]


async def test_pages_have_a_maximum_and_a_total_of_either_kind(five):
    for count_page in (False, True):
        async with NuvoServer(max_page_size=2, count_page=count_page) as server:
            server.add_pipeline("a", files=5)
            server.start("a")
            async with session_of(server) as session:
                answer = await get(session, "execution/?pagination[limit]=100&pagination[offset]=1")
        assert len(answer["data"]) == 2
        total = 2 if count_page else 5
        assert answer["pagination"] == {"total": total, "offset": 1, "limit": 2}


PARAMETERS = ["filters", "sort", "pagination", "options"]
FIELDS = ["id", "status", "created_at", "created_by.name", "error", "limit", "offset", "0", "1"]
OPERATORS = ["$in", "$ne", "$gt", "$like"]
VALUES = ["asc", "FAILED", "7", "2026-01-02", "0001-01-01T00:00:00+23:59", "2026-13-01T"]
WORDS = st.sampled_from(PARAMETERS + FIELDS + OPERATORS + VALUES) | st.text(max_size=4)
KEYS = st.builds(
    lambda name, nested: name + "".join(f"[{one}]" for one in nested),
    st.sampled_from(PARAMETERS) | WORDS,
    st.lists(WORDS, max_size=3),
)
QUERIES = st.lists(st.builds("{}={}".format, KEYS, WORDS) | KEYS, max_size=4).map("&".join)


@pytest.fixture(scope="module")
def ask():
    """Ask a server with some executions, and return the status and the JSON of its answer."""
    with NuvoServer() as server:
        server.add_pipeline("a", files=2, error="PARSING_FAILURE")
        server.start("a", trigger_type="MANUAL")
        server.start("a")
        url = URL(server.base_url)
        with closing(http.client.HTTPConnection(str(url.host), url.port)) as connection:

            def ask(query):
                path = f"{url.path}execution/?{quote(query, safe='[]=&$')}"
                headers = {"Authorization": f"Bearer {server.access_token}"}
                connection.request("GET", path, headers=headers)
                with connection.getresponse() as response:
                    return response.status, json.load(response)

            yield ask


@given(query=QUERIES)
def test_any_query_is_answered_or_unprocessable(ask, query):
    status, answer = ask(query)
    assert status in {200, 422}
    assert answer["data" if status == 200 else "message"] is not None


@pytest.mark.parametrize("dotted", [False, True], ids=["brackets", "dots"])
async def test_every_field_can_be_one_of_several(nuvo_server, http, five, dotted):
    [wanted] = [one for one in nuvo_server.executions if one["id"] == five[3]]
    for path, value in leaves({name: wanted[name] for name in wanted if name != "logs"}):
        field = f"[{'.'.join(path)}]" if dotted else "".join(f"[{name}]" for name in path)
        query = f"filters{field}[$in][0]={value}&filters{field}[$in][1]=other"
        found = (await get(http, f"execution/?{query}"))["data"]
        assert five[3] in [one["id"] for one in found]
        query = f"filters{field}[$in][0]=another&filters{field}[$in][1]=other"
        assert (await get(http, f"execution/?{query}"))["data"] == []


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, child in value.items():
            yield from leaves(child, (*path, name))
    elif value is not None:
        yield path, value


async def test_the_client_filters_by_many_ids(nuvo_server, nuvo_client):
    nuvo_server.add_pipeline("orders", files=200)
    wanted = nuvo_server.start("orders")[::2]
    executions = nuvo_client.iter_executions(filters={"id": {"$in": wanted}})
    assert [one.id async for one in executions] == wanted


@pytest.mark.parametrize(
    ("ignores", "query", "expected"),
    [
        ({"filters[id]"}, "filters[id][$in][0]=none&filters[pipeline]=a", [0, 2, 4]),
        ({"filters[id][$in]"}, "filters[id][$in][0]=none", [0, 1, 2, 3, 4]),
        ({"filters[id][$in]"}, "filters[id][$eq]=none", []),
        ({"filters[id]"}, "filters[idea]=none", []),
        (["filters", "sort"], "filters[status]=none&sort[pipeline]=desc", [0, 1, 2, 3, 4]),
        (["sort[status]"], "sort[pipeline]=desc&sort[status]=asc", [1, 3, 0, 2, 4]),
        (["pagination[limit]"], "pagination[limit]=1&pagination[offset]=2", [2, 3, 4]),
        (["sort"], "sort=nonsense", [0, 1, 2, 3, 4]),
    ],
)
async def test_a_server_can_ignore_parts_of_the_query(ignores, query, expected):
    async with NuvoServer(ignores=ignores) as server, session_of(server) as session:
        ids = start_five(server)
        answer = await get(session, f"execution/?{query}")
    assert [ids.index(one["id"]) for one in answer["data"]] == expected


@pytest.mark.parametrize(
    ("ignores", "error"),
    [("sort", TypeError), (["id"], ValueError), (["filters[id"], ValueError), ([5], TypeError)],
)
def test_a_server_can_ignore_nothing_else(ignores, error):
    with pytest.raises(error, match="ignores must"):
        NuvoServer(ignores=ignores)
