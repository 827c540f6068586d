"""Validates SPDX 2.3 documents: no package of Debian 12 does.

The schema below says what the specification requires of the fields that scripts/support/sbom writes, and rejects any
other field. python3-jsonschema applies it, and python3-license-expression checks the licenses.
"""

import functools
import hashlib
from typing import Any

import jsonschema
from license_expression import Licensing, get_spdx_licensing

Document = dict[str, Any]

# In the license list of SPDX since 3.22 and 3.23; Debian 12 has an older list.
NEWER_LICENSE, NEWER_EXCEPTION = "Unicode-3.0", "GCC-exception-2.0-note"


def text(pattern: str = ".") -> Document:
    return {"type": "string", "pattern": pattern}


def one_of(*values: str) -> Document:
    return {"enum": list(values)}


def several(items: Document, least: int = 1) -> Document:
    return {"type": "array", "items": items, "minItems": least, "uniqueItems": True}


def record(required: Document, **optional: Document) -> Document:
    fields = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


IDENTIFIER = text(r"^SPDXRef-[A-Za-z0-9.-]+$")
ACTOR = text(r"^(Organization|Person): \S.*$|^NOASSERTION$")
LOCATION = text(r"^(git\+)?https://[^\s#]+(@[^\s#]+)?$|^NOASSERTION$|^NONE$")
LICENSES = several(text())
CHECKSUM = {
    "oneOf": [
        record({"algorithm": one_of(name), "checksumValue": text("^[0-9a-f]{%d}$" % digits)})
        for name, digits in (("SHA1", 40), ("SHA256", 64))
    ]
}
# Appendix F of the specification names the types of each category.
REFERENCE = {
    "oneOf": [
        record(
            {
                "referenceCategory": one_of("SECURITY"),
                "referenceType": one_of("cpe23Type"),
                "referenceLocator": text(r"^cpe:2\.3:a(:[a-z0-9._-]+){3}(:\*){7}$"),
            }
        ),
        record(
            {
                "referenceCategory": one_of("PACKAGE-MANAGER"),
                "referenceType": one_of("purl"),
                "referenceLocator": text(r"^pkg:[a-z]+(/[\w.~%-]+)+(@[\w.~%-]+)?(\?[a-z]+=[\w.&=-]+)?$"),
            }
        ),
    ]
}
PACKAGE = record(
    {
        "SPDXID": IDENTIFIER,
        "name": text(),
        "versionInfo": text(),
        "supplier": ACTOR,
        "downloadLocation": LOCATION,
        "filesAnalyzed": {"type": "boolean"},
        "licenseConcluded": text(),
        "licenseDeclared": text(),
        "copyrightText": text(),
        "externalRefs": several(REFERENCE),
    },
    comment=text(),
    homepage=text(r"^https?://\S+$"),
    licenseInfoFromFiles=LICENSES,
    packageVerificationCode=record(
        {"packageVerificationCodeValue": text("^[0-9a-f]{40}$")},
        packageVerificationCodeExcludedFiles=several(text(r"^\./")),
    ),
    primaryPackagePurpose=one_of("APPLICATION"),
    sourceInfo=text(),
)
FILE = record(
    {
        "SPDXID": IDENTIFIER,
        "fileName": text(r"^\./[^/]"),
        "fileTypes": several(one_of("BINARY", "DOCUMENTATION", "TEXT")),
        "checksums": several(CHECKSUM, 2),
        "licenseConcluded": text(),
        "licenseInfoInFiles": LICENSES,
        "copyrightText": text(),
    }
)
RELATIONSHIP = record(
    {
        "spdxElementId": IDENTIFIER,
        "relationshipType": one_of("DESCRIBES", "CONTAINS", "STATIC_LINK", "DYNAMIC_LINK", "RUNTIME_DEPENDENCY_OF"),
        "relatedSpdxElement": IDENTIFIER,
    }
)
SCHEMA = record(
    {
        "spdxVersion": one_of("SPDX-2.3"),
        "dataLicense": one_of("CC0-1.0"),
        "SPDXID": one_of("SPDXRef-DOCUMENT"),
        "name": text(),
        "documentNamespace": text(r"^https://[^\s#]+$"),
        "creationInfo": record(
            {
                "created": text(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"),
                "creators": several(text(r"^(Organization|Person|Tool): \S.*$")),
                "licenseListVersion": text(r"^\d+\.\d+$"),
            }
        ),
        "packages": several(PACKAGE),
        "files": several(FILE),
        "relationships": several(RELATIONSHIP),
    }
)


@functools.cache
def licensing() -> Licensing:
    known = get_spdx_licensing().known_symbols
    for name, is_exception in ((NEWER_LICENSE, False), (NEWER_EXCEPTION, True)):
        if name not in known:
            symbol = type(next(iter(known.values())))
            known = {**known, name: symbol(name, is_exception=is_exception)}
    return Licensing(known.values())


def license_problems(where: str, expression: str) -> list[str]:
    if expression in ("NOASSERTION", "NONE"):
        return []
    return [f"{where}: {error}" for error in licensing().validate(expression).errors]


def problems(document: Document) -> list[str]:
    """What is wrong with a document; nothing if it is valid."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    found = [f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in validator.iter_errors(document)]
    if found:
        return found
    packages, files, relationships = document["packages"], document["files"], document["relationships"]
    elements = [document, *packages, *files]
    known = {element["SPDXID"] for element in elements}
    if len(known) != len(elements):
        found.append("two elements have one SPDXID")
    for relationship in relationships:
        for field in ("spdxElementId", "relatedSpdxElement"):
            if relationship[field] not in known:
                found.append(f"a relationship names {relationship[field]}, which is no element")
    related = {one[field] for one in relationships for field in ("spdxElementId", "relatedSpdxElement")}
    found += [f"{element} is in no relationship" for element in sorted(known - related)]
    for element in (*packages, *files):
        for field in ("licenseConcluded", "licenseDeclared"):
            found += license_problems(f"{element['SPDXID']} {field}", element.get(field, "NOASSERTION"))
        for expression in element.get("licenseInfoFromFiles", []) + element.get("licenseInfoInFiles", []):
            found += license_problems(element["SPDXID"], expression)
    described = {one["relatedSpdxElement"] for one in relationships if one["relationshipType"] == "DESCRIBES"}
    analyzed = {package["SPDXID"] for package in packages if package["filesAnalyzed"]}
    if len(described) != 1 or described != analyzed:
        found.append("the document must describe the one package whose files it lists")
    for package in packages:
        if ("packageVerificationCode" in package) != package["filesAnalyzed"]:
            found.append(f"{package['SPDXID']} has a verification code without files, or files without a code")
        elif package["filesAnalyzed"] and verification_code(files) != verification_code_of(package):
            found.append(f"the verification code of {package['SPDXID']} is not that of its files")
    return found


def verification_code_of(package: Document) -> str:
    return package["packageVerificationCode"]["packageVerificationCodeValue"]


def verification_code(files: list[Document]) -> str:
    """7.9.5 of the specification: the SHA-1 of the sorted SHA-1s of the files."""
    digests = sorted(checksum(file, "SHA1") for file in files)
    return hashlib.sha1("".join(digests).encode()).hexdigest()


def checksum(element: Document, algorithm: str) -> str:
    return next(one["checksumValue"] for one in element["checksums"] if one["algorithm"] == algorithm)
