package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxLines is where a file has become two. About 300 is the aim.
const maxLines = 500

// TestFilesAreShort keeps every file that a person wrote within maxLines.
func TestFilesAreShort(t *testing.T) {
	for _, f := range readTree(t) {
		if !f.isGo() || f.isGenerated() {
			continue
		}
		if lines := bytes.Count(f.data, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by noun", f.path, lines, maxLines)
		}
	}
}

// TestOnePackageComment wants exactly one file in each package to say what the
// package is for, so that there is one place to read and to keep right.
func TestOnePackageComment(t *testing.T) {
	type packageKey struct{ folder, name string }
	comments := map[packageKey][]string{}
	files := readTree(t)
	sources := map[string]bool{} // folders with Go files other than tests
	for _, f := range files {
		if f.isGo() && !f.isTest() {
			sources[path.Dir(f.path)] = true
		}
	}
	for _, f := range files {
		if !f.isGo() || isTestdata(f.path) {
			continue
		}
		_, tree := f.parse(t, parser.PackageClauseOnly|parser.ParseComments)
		key := packageKey{path.Dir(f.path), tree.Name.Name}
		// A folder of tests alone carries its package comment in one of them.
		if f.isTest() && sources[key.folder] {
			if tree.Doc != nil {
				t.Errorf("%s: a test file has no package comment, the package itself has", f.path)
			}
			continue
		}
		found := comments[key]
		if tree.Doc != nil && !f.isGenerated() {
			found = append(found, f.path)
		}
		comments[key] = found
	}
	for key, found := range comments {
		if len(found) != 1 {
			t.Errorf("package %s in %s has %d package comments, want one: %s", key.name, key.folder, len(found), strings.Join(found, ", "))
		}
	}
}

// leftover is something that is said to be done later, or not run at all.
var leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|\b[tb]\.Skip(f|Now)?\(`)

// TestNothingLeftForLater finds reminders and tests that skip themselves.
func TestNothingLeftForLater(t *testing.T) {
	for _, f := range readTree(t) {
		if !f.isGo() || f.isGenerated() {
			continue
		}
		for number, line := range bytes.Split(f.data, []byte("\n")) {
			if found := leftover.Find(line); found != nil {
				t.Errorf("%s:%d: %q: do it now, or file an issue", f.path, number+1, found)
			}
		}
	}
}

// TestNoVaguePackages keeps names that say nothing out of the tree.
func TestNoVaguePackages(t *testing.T) {
	vague := map[string]bool{"util": true, "utils": true, "common": true, "types": true, "helpers": true, "helper": true, "misc": true, "base": true}
	for _, f := range readTree(t) {
		if !f.isGo() || isTestdata(f.path) {
			continue
		}
		if folder := path.Base(path.Dir(f.path)); vague[folder] {
			t.Errorf("%s: %q does not say what the package is for", f.path, folder)
		}
	}
}

// ownMachine finds paths that exist on one person's machine only. The words
// are put together here so that this file does not find itself.
var ownMachine = regexp.MustCompile(`(^|[\s"'=:(` + "`" + `])/(wo` + `rk|ro` + `ot|ho` + `me)/[\w.]|\.libr` + `ary/|\bDESI` + `GN\.md`)

// TestNoPathsOfOneMachine keeps the repository free of the paths and documents
// of the machine that a part of it was written on.
func TestNoPathsOfOneMachine(t *testing.T) {
	for _, f := range readTree(t) {
		if !f.isText() {
			continue
		}
		for number, line := range bytes.Split(f.data, []byte("\n")) {
			if found := ownMachine.Find(line); found != nil {
				t.Errorf("%s:%d: %q exists on one machine only", f.path, number+1, found)
			}
		}
	}
}

// TestPackageStateIsConstant finds package-level variables that some function
// of the package assigns to: state that two servers in one process would share.
func TestPackageStateIsConstant(t *testing.T) {
	files := readTree(t)
	nested := moduleFolders(files)
	variables := map[string]map[string]bool{} // folder -> names
	for _, f := range files {
		if !f.isGo() || f.isTest() || f.isGenerated() || !inMainModule(f, nested) {
			continue
		}
		_, tree := f.parse(t, parser.SkipObjectResolution)
		for name := range packageVariables(tree) {
			folder := path.Dir(f.path)
			if variables[folder] == nil {
				variables[folder] = map[string]bool{}
			}
			variables[folder][name] = true
		}
	}
	for _, f := range files {
		names := variables[path.Dir(f.path)]
		if !f.isGo() || f.isTest() || len(names) == 0 {
			continue
		}
		set, tree := f.parse(t, 0)
		ast.Inspect(tree, func(node ast.Node) bool {
			assign, ok := node.(*ast.AssignStmt)
			if !ok {
				return true
			}
			for _, left := range assign.Lhs {
				// An identifier that resolves to nothing in its file is
				// declared in another; one that resolves to a variable
				// specification at the top of the file is ours as well.
				name, ok := left.(*ast.Ident)
				if ok && names[name.Name] && (name.Obj == nil || isTopLevel(tree, name.Obj.Decl)) {
					t.Errorf("%s: package variable %s is assigned to: give it an owner", set.Position(name.Pos()), name.Name)
				}
			}
			return true
		})
	}
}

// packageVariables returns the names declared by var at the top of the file.
func packageVariables(tree *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, decl := range tree.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok && general.Tok.String() == "var" {
				for _, name := range value.Names {
					names[name.Name] = true
				}
			}
		}
	}
	delete(names, "_")
	return names
}

func isTopLevel(tree *ast.File, decl any) bool {
	for _, top := range tree.Decls {
		general, ok := top.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			if spec == decl {
				return true
			}
		}
	}
	return false
}

func isTestdata(name string) bool { return strings.Contains("/"+name, "/testdata/") }
