# Turns container directories (arguments) into shell commands for /usr/bin/service: what each one's runtime.json asks
# for, in the order upstream carries it out, between "begin DIRECTORY" and "finish".
#
# A JSON reader in awk, because the initramfs should need nothing but busybox, and because jq 1.6 takes 0.6 s for a
# file of one kilobyte on an emulated machine and rounds integers above 2^53. A document that is not JSON becomes a
# "broken" command, which the container then reports.

BEGIN {
    for (i = 1; i < ARGC; i++)
        plan(ARGV[i])
}

function plan(directory,    file, line, status) {
    print "begin " quoted(directory)
    file = directory "/runtime.json"
    text = ""
    while ((status = (getline line < file)) > 0)
        text = text line "\n"
    close(file)
    if (status == 0) {
        split("", at)
        problem = ""
        token = next_token()
        read_value("")
        if (problem == "" && token != "")
            problem = "something follows the end of the document"
        if (problem != "")
            print "broken " quoted("runtime.json cannot be read: " problem)
        else
            print_commands()
    } # else there is none, and nothing to prepare
    print "finish"
}

function print_commands(    i, path, kinds, count) {
    if (at["/namespace"] != "")
        print "namespace " quoted(at["/namespace"])
    for (i = 0; ("/mounts/" i) in at; i++) {
        path = "/mounts/" i
        print "mount_point " quoted(at[path "/source"]) " " quoted(at[path "/type"]) " " \
            quoted(at[path "/destination"]) " " quoted(joined(path "/options"))
    }
    for (i = 0; ("/mkdir/" i) in at; i++)
        print "directory " quoted(at["/mkdir/" i])
    for (i = 0; ("/cgroups/" i) in at; i++)
        print "control_group " quoted(at["/cgroups/" i])
    for (i = 0; ("/interfaces/" i) in at; i++) {
        path = "/interfaces/" i
        print "interface " quoted(at[path "/name"]) " " quoted(at[path "/add"]) " " quoted(at[path "/peer"]) " " \
            quoted(at[path "/createInRoot"])
    }
    count = split("cgroup ipc mnt net pid user uts", kinds, " ")
    for (i = 1; i <= count; i++)
        if (at["/bindNS/" kinds[i]] != "")
            print "bind_namespace " kinds[i] " " quoted(at["/bindNS/" kinds[i]])
}

function joined(path,    i, all) {
    all = ""
    for (i = 0; (path "/" i) in at; i++)
        all = all (i ? "," : "") at[path "/" i]
    return all
}

function quoted(word) {
    gsub(/'/, "'\\''", word)
    return "'" word "'"
}

# --- JSON: the values of the document in `text` become at["/key/0/key"]; objects and lists are there too, empty.

function next_token(    found) {
    if (!match(text, /^[ \t\r\n]*("([^"\\]|\\.)*"|-?[0-9][-+.eE0-9]*|true|false|null|[][{}:,])/)) {
        if (text !~ /^[ \t\r\n]*$/)
            problem = "not JSON at: " substr(text, 1, 20)
        text = ""
        return ""
    }
    found = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    sub(/^[ \t\r\n]*/, "", found)
    return found
}

function expect(wanted) {
    if (token != wanted)
        unexpected(wanted)
    token = next_token()
}

function unexpected(wanted) {
    if (problem == "")
        problem = token == "" ? "it ends too early" : wanted " expected, not " token
}

# Leaves the token after the value in `token`.
function read_value(path,    key, i) {
    if (token == "{") {
        at[path] = ""
        token = next_token()
        while (token != "}" && problem == "") {
            if (token !~ /^"/)
                unexpected("a key")
            key = path "/" unescaped(token)
            token = next_token()
            expect(":")
            read_value(key)
            if (token != "}")
                expect(",")
        }
        expect("}")
    } else if (token == "[") {
        at[path] = ""
        token = next_token()
        for (i = 0; token != "]" && problem == ""; i++) {
            read_value(path "/" i)
            if (token != "]")
                expect(",")
        }
        expect("]")
    } else if (token ~ /^["tfn0-9-]/) {
        at[path] = token ~ /^"/ ? unescaped(token) : token == "null" ? "" : token
        token = next_token()
    } else
        unexpected("a value")
}

function unescaped(literal,    rest, result, letter) {
    rest = substr(literal, 2, length(literal) - 2)
    result = ""
    while (match(rest, /\\/)) {
        result = result substr(rest, 1, RSTART - 1)
        letter = substr(rest, RSTART + 1, 1)
        if (letter == "u") {
            result = result utf8(hexadecimal(substr(rest, RSTART + 2, 4)))
            rest = substr(rest, RSTART + 6)
        } else {
            result = result (letter == "n" ? "\n" : letter == "t" ? "\t" : letter == "r" ? "\r" : \
                letter == "b" ? "\b" : letter == "f" ? "\f" : letter)
            rest = substr(rest, RSTART + 2)
        }
    }
    return result rest
}

function hexadecimal(digits,    i, number) {
    number = 0
    for (i = 1; i <= length(digits); i++)
        number = number * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
    return number
}

function utf8(code) {
    if (code < 128)
        return sprintf("%c", code)
    if (code < 2048)
        return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
}
