

def test_a_shell_script_with_letters_beyond_ascii_keeps_its_lines() -> None:
    script = "# für später\ngrüße() {\n  echo 'äöü\u3000\x85'\n}\nende() { :; }\n"
    assert [(each.start_line, each.end_line) for each in definitions("a.sh", script.encode())] == [(2, 4), (5, 5)]
