// A program with the URL of the real service written in, for a static binary: CGO_ENABLED=0 go build bot.go
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const address = "https://api.cometapi.com/v1/videos"

type video struct{ ID, Status string }

func ask(method, url, form string) (answer video) {
	request, _ := http.NewRequest(method, url, strings.NewReader(form))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("COMETAPI_KEY"))
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	json.Unmarshal(body, &answer)
	return
}

func main() {
	made := ask("POST", address, "prompt=A+paper+kite.")
	for made.Status == "queued" || made.Status == "in_progress" {
		time.Sleep(50 * time.Millisecond)
		made = ask("GET", address+"/"+made.ID, "")
	}
	fmt.Println(made.Status)
}
