#!/usr/bin/env python3
"""Asks a real daemon what constraints mean; writes `constraints.jsonl` beside this file.

    devnet up && devnet exec tests/fidelity/constraints.py            # the table
    devnet exec tests/fidelity/constraints.py --drawn 5000 --seed 1   # drawn expressions, to stdout

`devnet` is $GOLEM_SHARED/yagna/devnet, with the same $YAGNA_DEVNET_DIR here. For every set of properties an
offer is published on the provider's daemon; every expression is tried as the constraints of a counter-proposal
to it, and in a scan. So each line tells what the daemon said: "match", the names it missed, or its words. A
`scan` is told where it says something else. Do not ask about expressions deeper than 300, nor about decimals
like 1e999999999: the daemon does not survive them.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import sys
import time

HERE = pathlib.Path(__file__).parent
MARKET = "/market-api/v1"
ODD = ["a)b", "a(b", "*", "a*b", "**", 'a"b\\c', "a\nb", "a\tb", "[a]", "[a,b]", "  x ", "   ", "", "a.b", "$^", "{2}",
       "stra\u00dfe) \u03a9*"]
SETS = {
    "usual": {
        "n": 8.0, "i": 8, "neg": -3, "big": 1e30, "small": 1e-7, "huge": 18446744073709551615, "zero": 0,
        "s": "provider-12", "empty": "", "sp": "  x ", "blank": "   ", "q": 'a"b\\c', "nl": "a\nb", "tab": "a\tb",
        "cr": "a\rb", "ctl": "\u0001", "del": "\u007f", "sl": "a/b", "uni": "stra\u00dfe \u03a9", "yes": "true",
        "paren": "a(b", "num": "8", "b": True, "f": False, "z": None, "e": {}, "deep.x": 1, "deep.y.z": "t",
        "d": "1.50", "v": "1.2.3-alpha.9", "r": "1.2.3", "t": "2020-01-02T03:04:05Z", "sq": "[a]",
        "golem.!exp.x": 2, "a?": 1, "a b": 1, " n": 1, "n ": 1, "k$v": 1, "k[x]": 1, "": 5, "(n": 1, "!n": 1,
    },
    "lists": {
        "l": ["a", "b"], "el": [], "mixed": [1, "a", True], "ll": [["a"], ["b", "c"]], "nulls": [None],
        "objects": [{"a": 1}], "gap": ["a", ""], "coeffs": [0.0, 0.0, 0.0], "dup": ["a", "a"], "bl": [True, False],
        "quoted": ['"a"', '"b"'], "inside": ["[a]"], "ctl": ["a", "\r"], "names": ["provider-1", "provider-2"],
        "eel": [[]], "versions": ["1.2.3"], "blanks": [" a", "b "], "n": 8,
    },
    "offer": {
        "golem.activity.caps.transfer.protocol": ["http", "https", "gftp"], "golem.com.payment.protocol.version": 3,
        "golem.com.pricing.model": "linear", "golem.com.pricing.model.linear.coeffs": [0.00005, 0.0001, 0.0],
        "golem.com.scheme": "payu", "golem.com.usage.vector": ["golem.usage.duration_sec", "golem.usage.cpu_sec"],
        "golem.inf.cpu.architecture": "x86_64", "golem.inf.cpu.cores": 4, "golem.inf.cpu.threads": 8,
        "golem.inf.mem.gib": 8.0, "golem.inf.storage.gib": 20.5, "golem.node.id.name": "provider-1",
        "golem.runtime.capabilities": ["vpn", "inet", "manifest-support"], "golem.runtime.name": "vm",
        "golem.runtime.version": "0.3.0", "golem.srv.caps.multi-activity": True,
    },
    # Texts that mean something in the language, and versions and decimals as texts.
    "texts": {f"t{at}": text for at, text in enumerate(ODD)} | {"v": "0.10.0", "d": "12.2", "name": "one (2) three"},
}
NUMBERS = ["8", "8.0", "+8", "8e0", "-3", "0x8", "inf", "-inf", "infinity", "NaN", "", " 8", "8 ", ".5", "5.", "1e31",
           "1E400", "08", "8,0", "8_0", "eight", "true", "-0", "*", "8*", "1|8*"]
VERSIONS = ["1.2.3", "0.3.0", " 1.2.3", "1.2.3 ", "\t1.2.3", "\u000b1.2.3", "\u00a01.2.3", "1.2", "1", "01.2.3", "1.02.3",
            "1.2.3-", "1.2.3+", "1.2.3-a.b", "1.2.3-01", "1.2.3-a..b", "1.2.3--", "1.2.3-1", "1.2.3-alpha", "1.2.3-alpha.1",
            "1.2.3-alpha.10", "1.2.3-alpha.9", "1.2.3-alpha.9.0", "1.2.3-ALPHA", "1.2.3+b-c.d", "1.2.3-alpha.9+x", "1.2.3+x+y",
            "1.2.3.4", "v1.2.3", "18446744073709551615.0.0", "18446744073709551616.0.0", "1.2.3-99999999999999999999",
            "1.2.3-a_b", "1.2.3-beta", "1.2.x", "1. 2.3", "1.2.*", ""]
DECIMALS = ["1.5", "1.50", "+1.5", "-1.5", "--1.5", "-+1", "1e3", "15e-1", "15E-1", "0.15e1", "1e+3", "1e+-3", "1e++3", ".5", "5.",
            ".", "1.e1", "inf", "NaN", " 1.5", "1.5 ", "", "1_000", "1_.5", "1._5", "._5", ".-5", ".+5", "_1", "1,5", "0x10",
            "1e", "e5", "1e400", "1e7000", "1e-7000", "0", "-0", "0e10", "1" * 40, "1.5" + "0" * 40, "1.5" + "0" * 40 + "1",
            "1e99999999999999999999", "1.2.3", "-", "+"]
TIMES = ["2020-01-02T03:04:05Z", "2020-01-02T03:04:05.5Z", "2020-01-02T03:04:05.1234567891Z", "2020-01-02t03:04:05z",
         "2020-01-02 03:04:05Z", "2020-01-02  03:04:05Z", "2020-01-02T03:04:05-00:00", "2020-01-02T04:04:05+01:00",
         "2020-01-02T04:04:05+0100", "2020-01-02T04:04:05+01", "2020-01-02T03:04:05", "2020-01-02T03:04Z", "2020-01-02",
         "2020-01-02T03:04:05,5Z", "2020-01-02T03:04:05.Z", "2020-01-02T03:04:60Z", "2020-01-02T03:04:61Z",
         "2020-01-02T24:00:00Z", "2020-02-30T00:00:00Z", "2020-02-29T00:00:00Z", "0000-01-01T00:00:00Z",
         "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2020-01-02T03:04:05+24:00", "2020-01-02T03:04:05+23:59",
         "2020-01-02T03:04:05+00:60", "2020-01-02T03:04:05\u221201:00", "2020-01-02T03:04:05UTC", " 2020-01-02T03:04:05Z",
         "20200102T030405Z", "2020-13-02T03:04:05Z", "2020-01-02T03:60:05Z", "\u0662020-01-02T03:04:05Z", ""]
TEXTS = ["provider-12", "provider*", "provider.1*", "provider-[12]*", "pro*-12", "p|q*", "provider-1?2*", "PROVIDER*",
         "\\w+-\\d*", "\\p{L}*-12", "\\p{Greek}*", "provider-12**", "provider-+*", "[*", "p{1,2}*", "p{9999999}*", "^p*", "p*$", "p$*",
         "\\bp*", "provider\\-12", "provider\\2d12", "\\2a", "a(b", " provider-12", "provider-12 ", "\"provider-12\"",
         "'provider-12'", "", "z", "a", "[a]", "stra.*", "stra\u00dfe \u03a9", "str*\u03a9", "x ", "  x ", "a\"b\\c", "a\\\"b\\\\c", "a\\\\\"b*",
         "a\\nb", "a\nb", "a\\tb", "a.b*", "true", "a\u0000", "\u007f"]
LISTS = ["[a,b]", "[b,a]", "[a]", "[a,a]", "[]", "[ ]", "", "a", "c", "[ a,b]", "[a, b]", "[a ,b]", "[ a , b ]", "[a,b,]", "[,a]", "[a,,b]",
         "[a,b", "a,b]", " [a,b]", "[a,b] ", "[a,b]c", "[\"a\",\"b\"]", "['a','b']", "\"a\"", "[a,*]", "[a*,b*]", "a*", "[[a],[b,c]]",
         "[b,c]", "[0,0,0]", "[0.0,0,0e5]", "[0,1,0]", "0", "[1,a,true]", "[true,1,a]", "[a,1,True]", "true", "false", "[true,false]",
         "1", "1.0", "[\na,\tb]", "provider-*", "[provider-1,provider-2]", "[provider-[12]*,provider-2]", "[a]*", "*a", "b ", "[a, b ]"]
OPERATORS = ["=", "<", "<=", ">", ">="]


def written(text):
    """A value that equals this text alone, as the engine writes it (`engine/src/payload/constraint.rs`)."""
    text = text.lstrip(" ").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    if not (text.startswith("[") and text.endswith("]")) and ")" not in text and "*" not in text:
        return text
    signs = {")": "\\x29", "*": "\\x2A"} | {sign: "\\" + sign for sign in "\\.+?([]{}|^$"}
    return "".join(signs.get(letter, letter) for letter in text) + "$*"


def table():
    """The expressions for each set of properties."""
    words = """()| ()|( )|(  )|() |()x|x()|()()|(()|(()())|( ())|(&)|(|)|(!)|( & )|( | )|( ! )|(&())|(&( ))|(&()())|(!())|(!( ))
        (! () )|(|())|(|(|)(&))|(&(|)())|(|(&))|(!(&))|(!(|))|(|(|)(|))|(&&)|(!!(n=9))|(!(!(n=8)))|(!(!(n=9)))
        (n=8)|(n=8)(n=9)|(n=9)(n=8)|(n=8)x|(n=8) x|(n=8))|(n=8)&|(n=8|(n=9|(n=|(n|(|)|(*)|(n)|(n)(n=8)|n=8|n|x| |"|(n=8)=|(n=8)(
        ((n=8))|((n=8)|(&((n=8)))|(&(n=8)x)|(&(n=8)x|(&(n=8)|(&(n=8)(|(&(n=8)(i|(&(n=8)(i=|(&x(n=8))|(& x (n=8))|(&n=8)|(|n=8)|(&=8)|(|=8)
        (!n=8)|(!n=1)|(!=8)|(!n)|(!x(n=8))|(!(n=9)(n=9))|(!(n=9)x)|(!(n=9)|(!(n|(!(|(!|(&|(|(&(|(n=8)(|(&(n=8)&(i=8))
        (& (n=8) (i=8) )|( & (n=8) )|(&(n=8)(i=8))|(&(n=8)(i=9))|(&(n=9)(i=8))|(|(n=9)(i=8))|(|(n=9)(i=9))|(!(n=9))|( ! (n=9) )
        (&(|(n=9)(i=8))(!(s=x)))|(&(&(&(n=8))))|(|(|(|(n=8))))|(&(n=8)(&(i=8)(|(b=true)(b=false))))
        ( n=8)|(n =8)|( n =8)|(n= 8)|(n=8 )| (n=8)|(n=8) |  (  n=8) |(n >= 8)|(n>= 8)|(n >=8)|(n> =8)|(n < 9)|( n<9 )
        (n==8)|(n=>8)|(n=<8)|(n<>9)|(n><9)|(n!=8)|(n~8)|(n~=8)|(~=8)|(n=~8)|(s=~x)|(n>>8)|(n<<8)|(n=8=8)|(n:=8)|(n<|(n>|(n<=|(n>=|(n<5|(n<=5|(n~
        (=5)|(=*)|(=6)|( =5)|(>4)|(<4)|($v=5)|($=5)|([x]=5)|([]=5)|([x=5)|(]=5)
        (n=*)|(n=* )|(n=*|(n= *)|(n =*)|( n=*)|(n=*8)|(n=**)|(n=*)x|(n=* x)|(n>=*)|(n>*)|(n<*)|(*=*)|(*=8)|(s=*2)|(s=*-*)
        (missing=*)|(!(missing=*))|(missing=1)|(!(missing=1))|(!(!(missing=1)))|(missing>1)|(!(missing>1))|(!(n=*))|(!(!(n=*)))
        (&(missing=1)(n=8))|(&(missing=1)(n=9))|(&(n=9)(missing=1))|(&(missing=*)(other=1))|(&(other=1)(missing=*))|(&(missing=1)(other=1))
        (|(missing=1)(n=8))|(|(missing=1)(n=9))|(|(missing=*)(n=9))|(|(missing=*)(other=1))|(|(missing=*)(other=*))|(|(n=9)(n=7))
        (!(|(missing=*)(n=9)))|(!(|(missing=*)(other=1)))|(!(&(missing=1)(n=8)))|(!(&(missing=*)(n=8)))|(&(|(missing=*)(n=9))(other=1))
        (&(!(missing=1))(!(other=*)))|(|(!(missing=1))(!(n=8)))|(&(missing=1)(missing=1))|(!(|))|(&(missing=1)())|(|(missing=1)())
        (n$v=8)|(n$d=8)|(n$t=8)|(s$v=1)|(!(s$v=1))|(!(n$d=8))|(b$d=1)|(z$d=1)|(e$v=1)|(missing$v=1)|(!(missing$v=1))|(&(s$v=1)(missing=1))|(|(s$v=1)(missing=*))
        (n$v=*)|(missing$v=*)|(n$x=1)|(n$=1)|(n$vv=1)|(n$V=1)|(n$v$v=1)|(n$x=*)|(k$v=1)|(k=*)|(n$v =8)|(n $v=8)|(n$ v=8)|(&(n$x=1)(i$y=2))|(&(n~1)(i$y=2))|(!(n$x=1))
        (n[x]=8)|(n[x]=*)|(!(n[x]=*))|(!(n[x]=8))|(n[x]>8)|(n[]=8)|(n[]=*)|(n[=8)|(n]=8)|(n[x=8)|(n[x]y=8)|(n[x]$v=8)|(n[x]$v=*)|(n[x]$q=8)|(n[x]$=8)|(n[x]$vv=8)
        (n[x[y]]=8)|(n[x][y]=8)|(n[x$v]=8)|(n$v[x]=8)|(missing[x]=1)|(!(missing[x]=*))|(&(n[x]=8)(n=9))|(|(n[x]=*)(missing=1))|(k[x]=1)|(k[x]=*)|(n[ x ]=8)
        (z=*)|(z=null)|(z=)|(!(z=*))|(!(z=null))|(e=*)|(e={})|(e=)|(!(e=*))|(deep=*)|(deep.x=1)|(deep.y.z=t)|(deep.y=*)
        (b=true)|(b=false)|(b=True)|(b=TRUE)|(b= true)|(b=true )|(b=1)|(b=)|(b="true")|(b>true)|(b>=true)|(b<true)|(b<=true)|(b=t*)|(f=false)|(f=False)|(f=0)|(f<true)|(!(b=True))|(b=*)
        (cr=*)|(cr=a\\rb)|(ctl=*)|(!(ctl=*))|(del=*)|(empty=*)|(empty=)|(blank=*)|(blank=)|(blank=   )|(nl=*)|(tab=*)|(uni=*)|(yes=true)|(num=8)|(num=8.0)|(num>10)|(num<10)|(num=8*)
        (huge=18446744073709551615)|(huge>1e19)|(big=1e30)|(big>1e29)|(small=1e-7)|(small=0.0000001)|(small<1e-6)|(zero=-0)|(zero=0)|(neg<0)|(neg=-3)|(neg>-4)
        (golem.!exp.x=2)|(a?=1)|(a b=1)|(!(n=8)|(n=8\\)|(paren=a(b)|(paren=a(b))|(paren=a\\28b)|(s=(a))|(s=a)b)|(sq=[a])|(sq=a)|(n=8#)|(n=8;i=9)|(n=8,i=9)"""
    usual = [word for line in words.split("\n") for word in divide(line.lstrip())]
    usual += ["", "\n(n=8)", "\u00a0(n=8)", "\u000b(n=8)", "\u000c(n=8)", "\ufeff(n=8)", "(n=8\u0000)", "(n\u0000=8)", "(\tn=8)", "(\nn=8\n)",
              "(n=8)\u0000", "(& \n\r\t(n=8))", "(&\u000b(n=8))", "(&(n=8) \u00a0)", "(\u00e9=1)", "(n=\u00e9)", "(\U0001f600=*)", "(n=8)\n\n", "\r\n(n=8)",
              "(&\n\t(n=8)\n\t(|\n\t\t(i=8)\n\t\t(i=9)\n\t)\n)", "(!" * 50 + "(n=9)" + ")" * 50, "(&" * 250 + "(n=8)" + ")" * 250,
              "(|" * 100 + "(missing=*)" + ")" * 100, "(&" * 50 + "(n=8)", "(" * 40 + "n=8", "(&" + "(n=8)" * 300 + ")", "(|" + "(n=9)" * 300 + "(i=8))",
              "(n=" + "8" * 2000 + ")", "(" + "n" * 2000 + "=8)", "(s=" + "x" * 2000 + ")", "(s=p" + ".*" * 200 + ")", "(&" + "(n=8)" * 300]
    for name in ["n", "i"]:
        usual += [f"({name}{operator}{value})" for operator in OPERATORS for value in NUMBERS if name == "n" or operator == "="]
    usual += [f"(s{operator}{value})" for operator in OPERATORS for value in TEXTS if operator in "=<"]
    usual += [f"({name}={value})" for name in ["q", "nl", "tab", "uni", "sp", "sl", "empty", "del"] for value in TEXTS[30:]]
    typed = [("r$v", VERSIONS), ("v$v", VERSIONS), ("d$d", DECIMALS), ("t$t", TIMES)]
    usual += [f"({name}{operator}{value})" for name, values in typed for value in values for operator in ["=", "<"]]
    usual += [f"({name}{operator}{value})" for name, values in typed for value in values[:6] for operator in ["<=", ">", ">="]]
    names = list(SETS["lists"])
    lists = [f"({name}={value})" for name in ["l", "el", "mixed", "coeffs", "dup", "ll", "quoted"] for value in LISTS]
    lists += [f"({name}=*)" for name in names] + [f"(!({name}=*))" for name in names] + [f"({name}=a)" for name in names]
    lists += [f"(l{operator}a)" for operator in OPERATORS] + ["(l$v=a)", "(versions$v=1.2.3)", "(inside=[a])", "(inside=a)", "(eel=[])", "(eel=[[]])",
              "(names=provider-*)", "(names=[provider-*,provider-2])", "(blanks=a)", "(blanks=b )", "(blanks=[a,b ])", "(bl=true)", "(bl=[true,false])", "(gap=)", "(gap=[a,])"]
    offer = """(&(golem.inf.mem.gib>=0.5)(golem.inf.storage.gib>=2)(golem.inf.cpu.threads>=1)(golem.runtime.name=vm))
(golem.inf.mem.gib >= 0.5)
( golem.runtime.name=vm )
(golem.runtime.version$v>=0.3.0)
(golem.runtime.version$v>=0.3.1)
(golem.runtime.version>=0.2)
(golem.runtime.capabilities=vpn)
(!(golem.runtime.capabilities=cuda*))
(!(golem.!exp.gap-35.v1.inf.gpu.model=*))
(golem.runtime.capabilities=[vpn,inet,manifest-support])
(golem.com.pricing.model.linear.coeffs=[0.00005,0.0001,0])
(golem.com.pricing.model.linear.coeffs=[0.0,0.0,0.0])
(golem.node.id.name=provider.1*)
(golem.node.id.name=provider-[12]*)
(golem.node.id.name=provider-1|provider-2)
(&(golem.node.debug.subnet=public)(golem.com.payment.protocol.version>1))
(|
  (golem.com.payment.platform.erc20-polygon-glm.address=*)
  (golem.com.payment.platform.erc20-holesky-tglm.address=*)
)
(golem.srv.caps.multi-activity=true)
(golem.srv.caps.multi-activity=True)""".replace("\n(", "\0(").replace("\0(|\n", "\0(|\n").split("\0")
    texts = [f"(t{at}={written(text)})" for at in range(len(ODD)) for text in ODD]
    texts += ["(v$v>=0.4.0)", "(v$v>=0.11.0)", "(d$d>=8.6)", "(d$d>=12.10)", "(name=^* \\(2\\x29*)", "(name=^*\\x29 *)", "(name=one*)",
              "(name=^*one)", "(name=^*)", "(!(name=one \\(2\\x29 three$*))"]
    return {"usual": usual, "lists": lists, "offer": offer, "texts": texts}


def divide(line):
    """The expressions of a line, divided by a bar between parentheses or at the ends of one."""
    parts, part = [], ""
    for at, letter in enumerate(line):
        operator = line[:at].endswith("(") or line[:at].rstrip(" ").endswith("(") and letter == "|"
        if letter == "|" and not operator and line[at - 1 : at] not in ("p",):
            parts.append(part)
            part = ""
        else:
            part += letter
    return [part for part in parts + [part] if part]


def drawn(count, rng):
    """Expressions drawn from pieces, most of them nearly right."""
    values = {"n": NUMBERS, "i": NUMBERS, "s": TEXTS, "q": TEXTS, "sp": TEXTS, "v$v": VERSIONS, "r$v": VERSIONS, "d$d": DECIMALS, "t$t": TIMES,
              "l": LISTS, "mixed": LISTS, "dup": LISTS, "missing": NUMBERS, "b": ["true", "false", "1"], "n[x]": NUMBERS}
    noise = list(" \t\n()()()&|!=<>~*$[],.-\\\"a1nvdt\u00e9") + ["()", "=*", ">=", "(n=8)", "(missing=1)"]

    def term():
        name = rng.choice(list(values))
        if rng.random() < 0.2:
            return f"({name}=*)"
        return f"({name}{rng.choice(OPERATORS)}{rng.choice(values[name])})"

    def expression(depth):
        kind = rng.random()
        if depth == 0 or kind < 0.3:
            return term()
        space = lambda: rng.choice(["", "", "", " ", "\n"])
        if kind < 0.45:
            return f"({space()}!{space()}{expression(depth - 1)}{space()})"
        parts = [expression(depth - 1) + space() for _ in range(rng.randrange(4))]
        return f"({space()}{rng.choice('&|')}{space()}{''.join(parts)})"

    for _ in range(count):
        text = expression(rng.randrange(4))
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + (rng.choice(noise) if rng.random() < 0.6 else "") + text[at + rng.randrange(2) :]
        yield rng.choice(["usual", "lists"]), text


class Daemon:
    def __init__(self, host, key):
        self.host, self.key, self.connection = host, key, None

    def call(self, method, path, body=None):
        for last in (False, True):
            try:
                self.connection = self.connection or http.client.HTTPConnection(self.host, timeout=60)
                headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
                self.connection.request(method, MARKET + path, None if body is None else json.dumps(body), headers)
                response = self.connection.getresponse()
                text = response.read().decode()
                return response.status, json.loads(text) if text else None
            except (http.client.HTTPException, OSError):
                self.connection = None
                if last:
                    raise


class Table:
    """The offer of one set, and the proposal of it that is at hand."""

    def __init__(self, requestor, provider, properties, constraints="()"):
        self.requestor, self.provider, self.demand = requestor, provider, None
        self.tag = f"{time.time():.6f}"
        offer = {"properties": properties | {"table.tag": self.tag}, "constraints": constraints}
        self.offer = provider.call("POST", "/offers", offer)[1]
        self.bring()

    def bring(self):
        for _ in range(50):
            self.end()
            demand = {"properties": {}, "constraints": f"(table.tag={self.tag})"}
            self.demand = self.requestor.call("POST", "/demands", demand)[1]
            events = self.requestor.call("GET", f"/demands/{self.demand}/events?timeout=1&maxEvents=1")[1]
            if events:
                self.proposal = events[0]["proposal"]["proposalId"]
                return
        sys.exit("no proposal came")

    def end(self):
        if self.demand:
            self.requestor.call("DELETE", f"/demands/{self.demand}")

    def ask(self, constraints):
        path = f"/demands/{self.demand}/proposals/{self.proposal}"
        status, said = self.requestor.call("POST", path, {"properties": {}, "constraints": constraints})
        if status == 200:
            self.bring()
            return "match"
        message = said["message"]
        if "Mismatched constraints" in message:
            offer, demand = message.split(" - Offer: ")[1].split(", Demand: ")
            assert demand == "[]", message
            # A list as Rust shows it; a NUL is `\0` there.
            return json.loads(offer.replace("\\0", "\\u0000"))
        return message.split("Error: Prepare error: ")[1]

    def scan(self, constraints, timeout=0):
        status, scan = self.requestor.call("POST", "/scan", {"type": "offer", "constraints": constraints})
        if status != 201:
            return scan["message"]
        offers = self.requestor.call("GET", f"/scan/{scan}/events?timeout={timeout}&maxEvents=500")[1]
        self.requestor.call("DELETE", f"/scan/{scan}")
        return "match" if any(offer["offerId"] == self.offer for offer in offers) else "no match"


def expected_scan(said):
    if isinstance(said, list):
        return "no match"
    return said if said == "match" else "Invalid constraint. " + said.split(": ", 1)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--drawn", type=int, help="how many expressions to draw, instead of the table")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    keys = pathlib.Path(os.environ["YAGNA_DEVNET_DIR"], "data", "provider-keys").read_text().split()
    requestor, provider = Daemon("127.0.0.1:7465", os.environ["YAGNA_APPKEY"]), Daemon("127.0.0.1:7466", keys[1])
    tables = {name: Table(requestor, provider, properties) for name, properties in SETS.items()}
    if options.drawn:
        out, pairs = sys.stdout, drawn(options.drawn, random.Random(options.seed))
    else:
        out = open(HERE / "constraints.jsonl", "w")
        pairs = dict.fromkeys((name, text) for name, texts in table().items() for text in texts)
    line = lambda value: out.write(json.dumps(value, ensure_ascii=False) + "\n")
    for name, properties in SETS.items():
        line({"set": name, "properties": properties})
    asked = 0
    for name, text in pairs:
        said = tables[name].ask(text)
        record = {"of": name, "constraints": text, "daemon": said}
        scan = tables[name].scan(text)
        if scan != expected_scan(said):
            # Without a timeout it may tell too little.
            scan = tables[name].scan(text, 1)
        if scan != expected_scan(said):
            record["scan"] = scan
        line(record)
        asked += 1
    for each in tables.values():
        each.end()
        provider.call("DELETE", f"/offers/{each.offer}")
    print(f"{asked} expressions asked", file=sys.stderr)


main()
